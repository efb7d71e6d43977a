package host

import "golang.org/x/sys/unix"

// This file owns the screen of somebody who gives a command.

// TerminalRows returns the lines of the terminal behind a descriptor; 0 if it is none.
func TerminalRows(fd int) int {
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
