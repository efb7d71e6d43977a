# Completion of millrace for bash.
_millrace_options() {
	mapfile -t COMPREPLY < <(compgen -W '-c --config-file -p --print-config -P -t --test-config --convert -v --version -h --help' -- "$cur")
	if ((COMP_CWORD == 1)); then
		mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W ctl -- "$cur")
	fi
}

_millrace_ctl() {
	case $prev in
	--by) mapfile -t COMPREPLY < <(compgen -W 'messages bytes drops peers' -- "$cur") ;;
	-n | --at) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W 'status top client torrent trace ban unban reload drain
			-c --config-file --at --json --by -n --once -f --follow -h --help' -- "$cur")
		;;
	esac
}

_millrace() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	case $prev in
	-c | --config-file | --convert)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	if [[ ${COMP_WORDS[1]} == ctl ]] && ((COMP_CWORD > 1)); then
		_millrace_ctl
	else
		_millrace_options
	fi
}
complete -F _millrace millrace
