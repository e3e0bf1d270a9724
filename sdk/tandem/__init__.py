"""Publish marketing and sales facts to Tandem and read customer journeys."""
