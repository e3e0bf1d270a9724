curl --silent --no-buffer --header 'Accept: text/event-stream' --header "Authorization: Bearer ${TANDEM_TOKEN:-}" \
    "${TANDEM_API:-http://127.0.0.1:8765}/v1/changes?department=sales"
