package host

import "golang.org/x/sys/unix"

// This file asks the kernel what a TCP connection has cost on the wire.

// TCPTraffic is what the segments of a TCP connection have carried so far, in bytes: data, data that was sent again, and headers of IP and
// TCP. It has no headers of links below IP.
type TCPTraffic struct {
	Sent, Received                 uint64
	SegmentsSent, SegmentsReceived uint64 // those without data too
}

// Sizes of headers in bytes: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 7323 §3.2 with its two bytes of padding. Other options are
// in few segments, mostly the first of a connection, and are left out.
const (
	headerIPv4       = 20
	headerIPv6       = 40
	headerTCP        = 20
	optionTimestamps = 12

	hasTimestamps = 1 // TCPI_OPT_TIMESTAMPS of linux/tcp.h
)

// ReadTCPTraffic reads it from TCP_INFO (tcp(7), all of it since Linux 4.19). It is false where the kernel does not tell: the descriptor is
// no TCP socket.
func ReadTCPTraffic(fd int32, ipv6 bool) (t TCPTraffic, ok bool) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return t, false
	}
	header := uint64(headerTCP + headerIPv4)
	if ipv6 {
		header = headerTCP + headerIPv6
	}
	if info.Options&hasTimestamps != 0 {
		header += optionTimestamps
	}
	t.SegmentsSent, t.SegmentsReceived = uint64(info.Segs_out), uint64(info.Segs_in)
	t.Sent = info.Bytes_sent + t.SegmentsSent*header
	t.Received = info.Bytes_received + t.SegmentsReceived*header
	return t, true
}
