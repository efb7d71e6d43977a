# Completion of millrace for bash.
_millrace() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	case $prev in
	-c | --config-file | --convert)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W '-c --config-file -p --print-config -P -t --test-config --convert -v --version -h --help' -- "$cur")
}
complete -F _millrace millrace
