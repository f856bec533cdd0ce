# SPDX-License-Identifier: Apache-2.0
# bash completion for slipway. The words come from the program itself ('slipway complete'), so they
# are those of the version that is installed. Each line of 'slipway complete COMMAND' is an option
# and what may follow it: nothing, words, @file, @dir, or @ for a free text.

_slipway_values()
{
    local line=$1 current=$2 value=${1#* }

    [[ $line == *' '* ]] || return 1
    case $value in
    @file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    @dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    @) COMPREPLY=() ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$value" -- "$current") ;;
    esac
}

_slipway()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} line words=''

    if [ "$COMP_CWORD" = 1 ] || [ "$command" = help ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$1" complete 2>/dev/null)" -- "$current")
        return
    fi
    # '--format=q' arrives as three words: --format, =, q.
    if [ "$current" = = ]; then
        current=''
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    while IFS= read -r line; do
        words+=" ${line%% *}"
        if [ "${line%% *}" = "$previous" ] && _slipway_values "$line" "$current"; then
            return
        fi
    done < <("$1" complete "$command" 2>/dev/null)
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -F _slipway slipway
