// Package sockaddr translates addresses between net/netip and the two forms of the kernel: the structs of x/sys/unix
// and the bytes of a struct sockaddr. It owns no state.
package sockaddr

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Size is the room that [Put] needs: a sockaddr_in has 16 bytes, a sockaddr_in6 has 28.
const Size = 32

// Of returns the address as system calls of x/sys/unix take it.
func Of(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneIndex(a.Addr().Zone())}
}

// Put writes the address into b, which has [Size] bytes, as the kernel reads it. It returns the length of the address.
func Put(b []byte, a netip.AddrPort) int {
	clear(b)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		ip := a.Addr().As4()
		copy(b[4:], ip[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	ip := a.Addr().As16()
	copy(b[8:], ip[:])
	binary.NativeEndian.PutUint32(b[24:], zoneIndex(a.Addr().Zone()))
	return unix.SizeofSockaddrInet6
}

// Get returns the address that the kernel has written. ok is false if it is neither of IPv4 nor of IPv6.
func Get(name *unix.RawSockaddrAny) (a netip.AddrPort, ok bool) {
	switch name.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(a.Port)), true
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(name))
		addr := netip.AddrFrom16(a.Addr)
		if a.Scope_id != 0 && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(strconv.Itoa(int(a.Scope_id)))
		}
		return netip.AddrPortFrom(addr, hostOrder(a.Port)), true
	}
	return netip.AddrPort{}, false
}

func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// zoneIndex returns the interface number of an IPv6 zone given as a number or a name; 0 when there is none.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if itf, err := net.InterfaceByName(zone); err == nil {
		return uint32(itf.Index)
	}
	return 0
}
