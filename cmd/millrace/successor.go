package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"millrace/cmd/internal/handover"
)

// This file starts the process that takes over from this one.

// own are the variables that a service manager has set for this process alone.
var own = []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", handover.Variable}

// successor returns how another process is started with the arguments and the environment of this one. Its program is the file that
// the path of this one's names then: a newer one, or what a symbolic link leads to. In a new root directory that is the path from there.
func successor(args, environment []string) func(root string, link *os.File) (*exec.Cmd, error) {
	program, err := exec.LookPath(os.Args[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		program, err = os.Executable()
	}
	environment = slices.DeleteFunc(environment, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(own, name)
	})
	return func(root string, link *os.File) (*exec.Cmd, error) {
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(inside(root, program), args...)
		cmd.Env = append(slices.Clone(environment), handover.Variable+"=3") // the first of ExtraFiles
		cmd.ExtraFiles = []*os.File{link}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return cmd, cmd.Start()
	}
}

// inside returns a path as it is seen from a root directory: one that leads there is cut. Any other has to be the same there.
func inside(root, path string) string {
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/")+"/"); root != "" && ok {
		return "/" + rest
	}
	return path
}
