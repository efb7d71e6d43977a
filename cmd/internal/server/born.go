package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"millrace/cmd/internal/handover"
	"millrace/config"
)

// This file owns the privileges of a process whose predecessor has dropped its own: it is born as the new user in the new root directory, and
// can change neither.

// record writes the privileges down for a successor.
func (p privileges) record() *handover.Listeners {
	return &handover.Listeners{
		Dropped: p.active, User: p.asked.User, Group: p.asked.Group, Root: p.asked.ChrootPath, At: p.root, UID: uint32(p.uid), GID: uint32(p.gid),
	}
}

// newRoot returns the root directory to which this process has changed; empty: none.
func (p privileges) newRoot() string {
	if p.born {
		return ""
	}
	return p.root
}

// privileges returns those with which the process will run. A successor may have them already: then the section [privileges] must ask for
// the same, or for none. Names are not looked up then, for which there may be no files in the new root directory.
func (in *inheritance) privileges(p config.Privileges, log *slog.Logger) (privileges, error) {
	if in == nil || !in.born.Dropped {
		return lookUpPrivileges(p)
	}
	b := &in.born
	has := privileges{
		active: true, born: true, root: b.At, uid: int(b.UID), gid: int(b.GID),
		asked: config.Privileges{DropPrivileges: true, User: b.User, Group: b.Group, ChrootPath: b.Root},
	}
	root := filepath.Clean(p.ChrootPath)
	switch {
	case !p.DropPrivileges:
		log.Warn("drop_privileges is off now, and a new process cannot get privileges back that the old one has dropped: restart the tracker "+
			"for that", "uid", b.UID, "gid", b.GID, "root", b.At)
	case root != filepath.Clean(b.Root) && root != b.At:
		return has, fmt.Errorf("privileges.chroot_path: the old process runs in %s, and a new one cannot leave it for %q: restart instead",
			b.At, p.ChrootPath)
	case p.User != b.User && p.User != strconv.Itoa(has.uid):
		return has, fmt.Errorf("privileges.user: the old process has become user %q (%d), and a new one cannot become %q: restart instead",
			b.User, b.UID, p.User)
	case p.Group != b.Group && p.Group != strconv.Itoa(has.gid):
		return has, fmt.Errorf("privileges.group: the old process has become group %q (%d), and a new one cannot become %q: restart instead",
			b.Group, b.GID, p.Group)
	}
	return has, nil
}

// checkBorn proves that the process has been born without privileges. Its threads have those of the first one.
func (p privileges) checkBorn() error {
	groups, err := syscall.Getgroups()
	if err != nil {
		return fmt.Errorf("cannot read the groups of this process: %w", err)
	}
	if os.Getuid() != p.uid || os.Geteuid() != p.uid || os.Getgid() != p.gid || os.Getegid() != p.gid || len(groups) > 0 {
		return errors.New("cannot take over: this process is not the user that the old one has become")
	}
	return checkNoWayBack()
}
