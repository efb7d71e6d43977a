package ring

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"millrace/ring/pool"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the tries of [Probe]: rings of the smallest size without the machinery of [Ring], and one function for
// each kind of feature, which uses it there and looks at the outcome.

// scratchPlan is the smallest ring that a feature can be tried on.
func scratchPlan(u Use) Plan {
	return Plan{
		Use: u, Entries: 8, CQEntries: 32, ReceiveBuffers: 4, ReceiveBufferSize: pool.Granule,
		SendMemory: pool.Granule, MaxConnections: 1,
	}
}

// scratch is a ring to try one feature on, without the machinery of Ring.
type scratch struct {
	Memory
	k   *sysKernel
	lay Layout
	fds []int
}

func openScratch(u Use) (*scratch, error) {
	s := &scratch{k: newSysKernel()}
	p := scratchPlan(u)
	s.lay = p.Layout()
	var err error
	s.Memory, err = s.k.Setup(p)
	return s, err
}

// close gives everything back. The sockets go first, then the ring, which joins the requests in flight; the arena is
// unmapped last.
func (s *scratch) close() {
	for _, fd := range s.fds {
		unix.Shutdown(fd, unix.SHUT_RDWR)
		unix.Close(fd)
	}
	_ = s.k.Teardown()
}

// push fills one entry.
func (s *scratch) push(fill func(*SQE)) {
	tail := *s.SQTail
	e := &s.SQEs[tail&uint32(len(s.SQEs)-1)]
	*e = SQE{UserData: uint64(tail)}
	fill(e)
	atomic.StoreUint32(s.SQTail, tail+1)
}

// probePatience bounds how long a try waits for a completion, in rounds of a yielded processor; local sockets answer
// within the first.
const probePatience = 100_000

// wait submits and takes the next completion.
func (s *scratch) wait() (CQE, error) {
	for range probePatience {
		if head := *s.CQHead; head != atomic.LoadUint32(s.CQTail) {
			c := s.CQEs[head&uint32(len(s.CQEs)-1)]
			atomic.StoreUint32(s.CQHead, head+1)
			if c.Res < 0 {
				return c, Errno(-c.Res)
			}
			return c, nil
		}
		_, errno := s.k.Enter(*s.SQTail-atomic.LoadUint32(s.SQHead), 0, Hold{})
		if errno != 0 && unix.Errno(errno) != unix.EINTR {
			return CQE{}, errno
		}
		runtime.Gosched()
	}
	return CQE{}, Errno(unix.ETIMEDOUT)
}

// pair returns connected local stream sockets.
func (s *scratch) pair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.fds = append(s.fds, fds[:]...)
	return fds[0], fds[1], err
}

func trySetup(u Use) error {
	s, err := openScratch(u)
	if err != nil {
		return err
	}
	defer s.close()
	s.push(func(e *SQE) { e.OpCode = giouring.OpNop })
	_, err = s.wait()
	return err
}

// errNotMultishot: a kernel before multishot ignores the flag or refuses it with EINVAL.
var errNotMultishot = fmt.Errorf("the request ended after its first completion: %w", Errno(unix.EINVAL))

// tryMultishotAccept connects twice to a listener with one accept. The address is an abstract one that the kernel
// chooses, so that nothing is left in the file system.
func tryMultishotAccept() error {
	s, err := openScratch(Use{})
	if err != nil {
		return err
	}
	defer s.close()
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.fds = append(s.fds, l)
	if err := unix.Bind(l, &unix.SockaddrUnix{}); err != nil {
		return err
	}
	if err := unix.Listen(l, 4); err != nil {
		return err
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		return err
	}
	s.push(func(e *SQE) { fillAccept(e, int32(l), true) })
	for range 2 {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		s.fds = append(s.fds, c)
		if err := unix.Connect(c, name); err != nil {
			return err
		}
		got, err := s.wait()
		if err != nil {
			return err
		}
		s.fds = append(s.fds, int(got.Res))
		if got.Flags&cqeMore == 0 {
			return errNotMultishot
		}
	}
	return nil
}

// tryReceive receives twice into buffers of a buffer ring.
func tryReceive(u Use) error {
	s, err := openScratch(u)
	if err != nil {
		return err
	}
	defer s.close()
	a, b, err := s.pair()
	if err != nil {
		return err
	}
	p := scratchPlan(u)
	ring := newBufRing(s.Arena[s.lay.BufferRing:][:p.ReceiveBuffers*bufRingEntry])
	for bid := range p.ReceiveBuffers {
		ring.add(s.Base+uint64(s.lay.Receive+bid*p.ReceiveBufferSize), p.ReceiveBufferSize, uint16(bid))
	}
	ring.publish()
	for round := range 2 {
		if round == 0 || !u[MultishotReceive] {
			s.push(func(e *SQE) { fillReceive(e, int32(a), p.ReceiveBufferSize, u[MultishotReceive]) })
		}
		word := []byte("datum")
		if _, err := unix.Write(b, word); err != nil {
			return err
		}
		c, err := s.wait()
		if err != nil {
			return err
		}
		at := s.lay.Receive + int(c.Flags>>16)*p.ReceiveBufferSize
		if c.Flags&cqeBuffer == 0 || int(c.Res) != len(word) || string(s.Arena[at:at+len(word)]) != string(word) {
			return fmt.Errorf("a receive gave %d bytes with flags %#x: %w", c.Res, c.Flags, Errno(unix.EOPNOTSUPP))
		}
		if u[MultishotReceive] && c.Flags&cqeMore == 0 {
			return errNotMultishot
		}
	}
	return nil
}

func tryMessageRing() error {
	from, err := openScratch(Use{})
	if err != nil {
		return err
	}
	defer from.close()
	to, err := openScratch(Use{})
	if err != nil {
		return err
	}
	defer to.close()
	const token = 0xfeed
	from.push(func(e *SQE) { fillMessage(e, to.k.RingFD(), token) })
	if _, err := from.wait(); err != nil {
		return err
	}
	c, err := to.wait()
	if err == nil && c.UserData != token {
		err = Errno(unix.EOPNOTSUPP)
	}
	return err
}

func tryFixedSend() error {
	s, err := openScratch(Use{RegisteredBuffers: true})
	if err != nil {
		return err
	}
	defer s.close()
	a, b, err := s.pair()
	if err != nil {
		return err
	}
	word := "datum"
	copy(s.Arena[s.lay.Send:], word)
	s.push(func(e *SQE) { fillSend(e, int32(a), s.Base+uint64(s.lay.Send), len(word), true) })
	if _, err := s.wait(); err != nil {
		return err
	}
	got := make([]byte, 16)
	n, err := unix.Read(b, got)
	if err == nil && string(got[:n]) != word {
		err = Errno(unix.EOPNOTSUPP)
	}
	return err
}

// tryWait waits for a completion that does not come: a kernel that obeys the timeout answers ETIME.
func tryWait(h Hold) error {
	s, err := openScratch(Use{})
	if err != nil {
		return err
	}
	defer s.close()
	if s.k.features&giouring.FeatExtArg == 0 {
		return Errno(unix.EINVAL) // without the feature the argument would be taken for a signal mask
	}
	h.GiveUpP = true
	for range probePatience {
		_, errno := s.k.Enter(0, 1, h)
		switch unix.Errno(errno) {
		case unix.ETIME:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("a wait with a timeout: %w", errno)
		}
	}
	return Errno(unix.EINTR)
}
