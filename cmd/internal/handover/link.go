// Package handover is the language in which a running tracker hands all that it has to its successor: another process, perhaps of
// another version, that it has started. It has records as plain data (records.go) and the socket pair on which they go (this file), and
// knows nothing of the tracker. The order of the records is that of their kinds:
//
//	successor                        predecessor
//	Hello, its version      ───────►
//	                        ◄─────── Listener…, Listeners: the sockets, which both hold from now on
//	Ready: it could serve   ───────►
//	                                 freezes: from here on nobody is served
//	                        ◄─────── State, Connection…, Address…, Peers…, Counters…, ProcessTotals, Hour, End
//	Mine: it has got all,   ───────►
//	but for some connections
//	                        ◄─────── Yours: the successor may go on
//	Serving: it does        ───────►
//	serves                           ends, those connections first
//
// Whatever happens before Serving, a Failed, a silence or the end of the successor, the predecessor goes on as if nothing had happened,
// and a successor that does not get Yours ends. A predecessor that hears no Serving kills the successor before it goes on: it cannot know
// how far that is.
package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A record goes in messages of at most maxMessage bytes, which a socket's buffer of the default size can hold. maxRecord bounds the
// memory for one that is read: a connection with all its bytes is far below.
const (
	maxMessage = 64 << 10
	maxRecord  = 64 << 20
)

// Link is one end of the socket pair. Any goroutine may send. One at a time may receive.
type Link struct {
	conn *net.UnixConn

	sending sync.Mutex
	out     []byte

	in, oob []byte
	whole   []byte // a record that has come in pieces
}

// Pair returns both ends: a link, and the file that the successor inherits and opens with [Open]. The caller closes both.
func Pair() (*Link, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket pair for the successor: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "hand-over")
	l, err := Open(os.NewFile(uintptr(fds[0]), "hand-over"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return l, theirs, nil
}

// Open makes a link of a file, which it closes.
func Open(f *os.File) (*Link, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use the socket to the other process: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("cannot use the socket to the other process: it is not a unix socket")
	}
	return &Link{conn: conn, in: make([]byte, maxMessage+1), oob: make([]byte, syscall.CmsgSpace(4))}, nil
}

// Variable is the variable of the environment that names the descriptor of the successor's end.
const Variable = "MILLRACE_HANDOVER"

// FromEnvironment returns the link to the process that has started this one as its successor, and takes the variable out of the
// environment. It returns nil where there is none.
func FromEnvironment() (*Link, error) {
	text := os.Getenv(Variable)
	_ = os.Unsetenv(Variable) // it never fails
	if text == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("cannot take over from another process: %s is %q, not a descriptor", Variable, text)
	}
	return Open(os.NewFile(uintptr(fd), "hand-over"))
}

// Close closes the link: the other process learns of it. It also overwrites what was sent and received last, which may be keys.
func (l *Link) Close() error {
	err := l.conn.Close()
	l.sending.Lock()
	defer l.sending.Unlock()
	clear(l.out[:cap(l.out)])
	clear(l.in)
	clear(l.whole[:cap(l.whole)])
	return err
}

// SetDeadline sets the time after which calls fail.
func (l *Link) SetDeadline(t time.Time) { l.conn.SetDeadline(t) } // it fails for closed ones only, as all calls do then

// Send sends a record, and a descriptor beside it where fd is 0 or more. The descriptor stays the caller's. nil stands for a record
// without fields.
func (l *Link) Send(kind Kind, r record, fd int) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.out = l.out[:0]
	if r != nil {
		l.out = Append(l.out, r)
	}
	return l.send(kind, l.out, fd)
}

// SendRaw sends a record whose fields are already appended.
func (l *Link) SendRaw(kind Kind, fields []byte) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	return l.send(kind, fields, -1)
}

func (l *Link) send(kind Kind, b []byte, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	for len(b) > maxMessage {
		if err := l.message(part, b[:maxMessage], nil); err != nil {
			return err
		}
		b = b[maxMessage:]
	}
	return l.message(kind, b, rights)
}

func (l *Link) message(kind Kind, b, rights []byte) error {
	packet := make([]byte, 0, 1+len(b))
	packet = append(append(packet, byte(kind)), b...)
	_, _, err := l.conn.WriteMsgUnix(packet, rights, nil)
	clear(packet)
	if err != nil {
		return fmt.Errorf("cannot send to the other process: %w", err)
	}
	return nil
}

// Fail tells the other process why this one cannot go on, as far as that hears, and closes the link. A nil link is none.
func (l *Link) Fail(why error) {
	if l == nil {
		return
	}
	l.SetDeadline(time.Now().Add(time.Second))
	_ = l.Send(KindFailed, &Failed{Why: why.Error()}, -1) // it may have ended
	l.Close()
}

// ErrEnded says that the other process has ended, or closed its link.
var ErrEnded = errors.New("the other process has ended")

// Received is a record that has come. Its fields are good until the next call.
type Received struct {
	Kind   Kind
	Fields []byte
	FD     int // a descriptor, which is the caller's now; -1: there is none
}

// Receive returns the next record that this version knows.
func (l *Link) Receive() (Received, error) {
	clear(l.whole)
	l.whole = l.whole[:0]
	for {
		kind, b, fd, err := l.receive()
		switch {
		case err != nil:
			return Received{}, err
		case len(l.whole)+len(b) > maxRecord:
			closeFD(fd)
			return Received{}, fmt.Errorf("cannot read a record of the other process: it has more than %d bytes", maxRecord)
		case kind == part:
			closeFD(fd)
			l.whole = appendWiping(l.whole, b)
			continue
		case kind >= unknown:
			closeFD(fd)
			clear(l.whole)
			l.whole = l.whole[:0]
			continue
		case len(l.whole) > 0:
			l.whole = appendWiping(l.whole, b)
			b = l.whole
		}
		return Received{kind, b, fd}, nil
	}
}

// receive returns the next message.
func (l *Link) receive() (kind Kind, b []byte, fd int, err error) {
	n, oobn, flags, _, err := l.conn.ReadMsgUnix(l.in, l.oob)
	if errors.Is(err, syscall.ECONNRESET) { // once, before what the other process has said last
		n, oobn, flags, _, err = l.conn.ReadMsgUnix(l.in, l.oob)
	}
	fd = rights(l.oob[:oobn])
	switch {
	case err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		closeFD(fd)
		return 0, nil, -1, errors.New("cannot read a record of the other process: it is cut off")
	case n <= 0: // after an error it may be -1
		closeFD(fd)
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
			return 0, nil, -1, ErrEnded
		}
		return 0, nil, -1, fmt.Errorf("cannot read from the other process: %w", err)
	}
	return Kind(l.in[0]), l.in[1:n], fd, nil
}

// rights returns the descriptor in a control message, -1 if there is none, and closes further ones.
func rights(oob []byte) int {
	found := -1
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return found
	}
	for k := range messages {
		fds, err := syscall.ParseUnixRights(&messages[k])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if found >= 0 {
				closeFD(fd)
				continue
			}
			found = fd
		}
	}
	return found
}

func closeFD(fd int) {
	if fd >= 0 {
		syscall.Close(fd)
	}
}

// Want returns the fields of a record of one kind. Another one is an error; a Failed says why.
func (l *Link) Want(kind Kind, into record) (fd int, err error) {
	r, err := l.Receive()
	if err != nil {
		return -1, err
	}
	return r.FD, r.As(kind, into)
}

// As reads the fields of a record that must be of one kind; nil: it has none.
func (r *Received) As(kind Kind, into record) error {
	switch {
	case r.Kind == KindFailed:
		var f Failed
		if err := Read(r.Fields, &f); err != nil {
			return err
		}
		return fmt.Errorf("the other process: %s", f.Why)
	case r.Kind != kind:
		closeFD(r.FD)
		return fmt.Errorf("cannot go on with the other process: it says %d and not %d", r.Kind, kind)
	case into == nil:
		return nil
	}
	return Read(r.Fields, into)
}
