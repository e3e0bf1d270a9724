#!/usr/bin/env bash
# Logins and rights in Kafka: one user for each department and for each part of Tandem.
set -euo pipefail

readonly USERS=(marketing sales tandem-worker tandem-gateway tandem-publisher tandem-agents)

usage() {
    cat <<EOF
Usage: departments.sh BOOTSTRAP ADMIN_PROPERTIES PREFIX [USER...]

Gives each user a SCRAM-SHA-512 login and the rights that it needs, and nothing more. It may be run again at any time:
rights that are there stay, the passwords are set to those that are given.

  BOOTSTRAP         host:port,... of the brokers' SASL_SSL listener
  ADMIN_PROPERTIES  client settings of a super user (security.protocol, sasl.jaas.config, ssl.truststore.location, ...)
  PREFIX            first part of the topics' names (TANDEM_TOPIC_PREFIX)
  USER...           whom to set up, by default all: ${USERS[*]}

The password of a user comes from the environment, or from a file that it names: MARKETING_PASSWORD or
MARKETING_PASSWORD_FILE, TANDEM_WORKER_PASSWORD or TANDEM_WORKER_PASSWORD_FILE, and so on.

kafka-configs.sh and kafka-acls.sh of Apache Kafka must be on the PATH.
EOF
}

fail() {
    echo "departments.sh: $1" >&2
    exit 1
}

password_of() { # USER
    local name file password
    name=$(tr 'a-z-' 'A-Z_' <<<"$1")_PASSWORD
    file=${name}_FILE
    password=${!name:-}
    if [[ -z $password && -n ${!file:-} ]]; then
        password=$(<"${!file}") || fail "$file names ${!file}, which cannot be read"
    fi
    [[ -n $password ]] || fail "no password for $1: set $name or $file"
    # Brokers and clients agree only on what has one spelling in every encoding.
    LC_ALL=C
    [[ $password != *[!\!-~]* ]] || fail "the password of $1 holds a space or a character that is not ASCII: choose another"
    printf '%s' "$password"
}

# The tools say what they did, at length, and errors among it: to be read only when something went wrong.
run() {
    local said
    said=$("$@" 2>&1) || fail "$1 failed: $said"
}

allow() { # USER, then operations and resources as kafka-acls.sh takes them
    local user=$1
    shift
    run kafka-acls.sh --bootstrap-server "$bootstrap" --command-config "$admin" --add --allow-principal "User:$user" "$@"
}

set_password() { # USER PASSWORD
    # A pipe, because everybody on the machine can read a program's arguments. In a properties file \ is written \\.
    run kafka-configs.sh --bootstrap-server "$bootstrap" --command-config "$admin" --alter \
        --entity-type users --entity-name "$1" --add-config-file <(printf 'SCRAM-SHA-512=password=%s\n' "${2//\\/\\\\}")
}

# Of topics, READ and WRITE bring DESCRIBE, and WRITE lets a producer be idempotent.
set_rights() { # USER
    local journeys=(--topic "$prefix.journeys" --topic "$prefix.transitions")
    local departments=(--topic "$prefix.marketing.events" --topic "$prefix.sales.events")
    local events=("${departments[@]}" --topic "$prefix.joint.events")
    local own=(--topic "$prefix-agents") crm=(--topic "$prefix.crm.")
    local out=(--topic "$prefix.outbound." --topic "$prefix.dead-letters")
    local make=(--operation Create --operation DescribeConfigs) # and look whether they are made as Tandem needs them
    local prefixed=(--resource-pattern-type prefixed)
    case $1 in
    marketing | sales)
        allow "$1" --operation Write --topic "$prefix.$1.events"
        allow "$1" --operation Read "${journeys[@]}"
        allow "$1" --operation Read --group "$1" "${prefixed[@]}"
        ;;
    tandem-worker)
        allow "$1" --operation Read "${make[@]}" "${events[@]}"
        allow "$1" --operation Describe "${make[@]}" "${journeys[@]}" # for tandem migrate
        ;;
    tandem-gateway)
        allow "$1" --operation Write "${events[@]}"
        ;;
    tandem-publisher)
        allow "$1" --operation Read --operation Write "${make[@]}" "${journeys[@]}"
        allow "$1" --operation Read --group "$prefix-publisher"
        allow "$1" --operation Write --transactional-id "$prefix-publisher" "${prefixed[@]}"
        ;;
    tandem-agents)
        allow "$1" --operation Read "${journeys[@]}"
        allow "$1" --operation Write "${departments[@]}"
        allow "$1" --operation Read --group "$prefix-agents" "${own[@]}" "${crm[@]}" "${prefixed[@]}"
        allow "$1" --operation Write "${own[@]}" "${out[@]}" "${prefixed[@]}"
        allow "$1" "${make[@]}" "${own[@]}" "${crm[@]}" "${out[@]}" "${prefixed[@]}"
        ;;
    esac
}

case ${1:-} in
-h | --help)
    usage
    exit
    ;;
esac
if (($# < 3)); then
    usage >&2
    exit 2
fi
bootstrap=$1 admin=$2 prefix=$3
shift 3
(($#)) || set -- "${USERS[@]}"

[[ $prefix =~ ^[A-Za-z0-9._-]+$ ]] || fail "'$prefix' begins no topic's name: use letters, digits, '.', '_' and '-'"
[[ -r $admin ]] || fail "$admin cannot be read: it holds the client settings of a super user"
for tool in kafka-configs.sh kafka-acls.sh; do
    command -v "$tool" >/dev/null || fail "$tool is not on the PATH: add the bin folder of Apache Kafka"
done
passwords=()
for user in "$@"; do # all of them before anything is changed
    [[ " ${USERS[*]} " == *" $user "* ]] || fail "there is no user $user: choose among ${USERS[*]}"
    password=$(password_of "$user")
    passwords+=("$password")
done
for user in "$@"; do
    set_rights "$user"
    set_password "$user" "${passwords[0]}"
    passwords=("${passwords[@]:1}")
    echo "$user: rights and password are set"
done
