# Completion of millrace for fish.
complete -c millrace -f
complete -c millrace -s c -l config-file -r -F -d 'Read the configuration from a file'
complete -c millrace -s p -l print-config -d 'Print the default configuration'
complete -c millrace -s P -d 'Print the configuration with the values of the file'
complete -c millrace -s t -l test-config -d 'Check the configuration on this machine'
complete -c millrace -l convert -r -F -d 'Print a configuration made from another tracker\'s'
complete -c millrace -s v -l version -d 'Print the version'
complete -c millrace -s h -l help -d 'Print help'
complete -c millrace -n __fish_use_subcommand -a ctl -d 'Ask a running tracker, or give it an order'
complete -c millrace -n '__fish_seen_subcommand_from ctl' -a 'status top client torrent trace ban unban reload drain'
complete -c millrace -n '__fish_seen_subcommand_from ctl' -a '--at --json --by -n --once -f --follow'
