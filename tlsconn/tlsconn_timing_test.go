package tlsconn

// This file has the benchmarks of the record path, of idle memory and of handshakes.

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
)

// An answer, an announce with one offer, and one with ten.
var benchSizes = []int{300, 1400, 14 << 10}

// BenchmarkRead decrypts one record from the client.
func BenchmarkRead(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", tls.VersionName(version), size), func(b *testing.B) {
				r := newRig(b, version, 0, nil)
				payload, rec := make([]byte, size), make([]byte, 0, size+maxOverhead)
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					rec = seal(&r.mem, &r.out, r.conn.suite, version, rec[:0], typeData, payload)
					b.StartTimer()
					r.conn.Feed(rec)
					for data, _ := r.conn.Next(); len(data) > 0; data, _ = r.conn.Next() {
					}
				}
			})
		}
	}
}

// BenchmarkReadPieces decrypts a record that arrives in receives of 4 KiB.
func BenchmarkReadPieces(b *testing.B) {
	r := newRig(b, tls.VersionTLS13, 0, nil)
	payload, rec := make([]byte, 14<<10), make([]byte, 0, 20000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		rec = seal(&r.mem, &r.out, r.conn.suite, tls.VersionTLS13, rec[:0], typeData, payload)
		b.StartTimer()
		for rest := rec; len(rest) > 0; {
			n := min(4096, len(rest))
			r.conn.Feed(rest[:n])
			rest = rest[n:]
			for data, _ := r.conn.Next(); len(data) > 0; data, _ = r.conn.Next() {
			}
		}
	}
}

// BenchmarkWrite protects data for the client.
func BenchmarkWrite(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", tls.VersionName(version), size), func(b *testing.B) {
				r := newRig(b, version, 0, nil)
				payload, dst := make([]byte, size), make([]byte, 0, size+RecordOverhead(size))
				b.ReportAllocs()
				for b.Loop() {
					dst, _ = r.conn.Write(dst[:0], payload)
				}
			})
		}
	}
}

// BenchmarkExpand expands the key of one direction, as the next record of a connection without expanded keys does.
func BenchmarkExpand(b *testing.B) {
	r := newRig(b, tls.VersionTLS13, 0, nil)
	b.ReportAllocs()
	for b.Loop() {
		r.conn.in.aead = nil
		r.engine.expand(r.conn, &r.conn.in)
	}
}

// BenchmarkIdle reports the memory of connections at rest, each after a message of 14 kB in both directions.
func BenchmarkIdle(b *testing.B) {
	f := func(name string, connect func(tb testing.TB) any) {
		b.Run(name, func(b *testing.B) {
			const n = 200
			all := make([]any, n)
			connect(b)
			for b.Loop() {
				clear(all)
				before := heap()
				for i := range all {
					all[i] = connect(b)
				}
				after := heap()
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/conn")
				b.ReportMetric(float64(after.HeapObjects-before.HeapObjects)/n, "objects/conn")
				runtime.KeepAlive(all)
			}
		})
	}
	message := make([]byte, 14000)
	for _, expanded := range []int{1, 1000} {
		certs := testCerts(b, "ecdsa")
		e := testEngine(b, certs, func(o *EngineOptions) { o.MaxExpanded = expanded })
		f(fmt.Sprintf("expanded=%d", expanded), func(tb testing.TB) any {
			r := newRigIn(tb, e, tls.VersionTLS13, 0)
			r.read(r.record(typeData, message), 4096)
			r.conn.Write(nil, message)
			return r.conn
		})
	}
	l, err := Load(testCert(b, "ecdsa"))
	if err != nil {
		b.Fatal(err)
	}
	config := NewConfig(l, PostQuantum)
	f("crypto-tls", func(tb testing.TB) any {
		there, back := make(chan []byte, 8), make(chan []byte, 8)
		server := tls.Server(&memConn{from: there, to: back}, config)
		client := tls.Client(&memConn{from: back, to: there}, clientConfig(tls.VersionTLS13))
		go func() { client.Write(message) }()
		io.ReadFull(server, make([]byte, len(message)))
		server.Write(message)
		for len(back) > 0 {
			<-back
		}
		return server
	})
}

func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkHandshake makes handshakes one after the other over a socket: the client's share is in the figure.
func BenchmarkHandshake(b *testing.B) {
	f := func(name, kind string, cache bool) {
		b.Run(name, func(b *testing.B) {
			l := newLoop(b, testCerts(b, kind), echo)
			config := clientConfig(tls.VersionTLS13)
			if cache {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				config.ServerName = "localhost"
			}
			b.ReportAllocs()
			for b.Loop() {
				sock, err := net.Dial("tcp", l.addr)
				if err != nil {
					b.Fatal(err)
				}
				client := tls.Client(sock, config)
				client.Write([]byte("x"))
				if _, err := client.Read(make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
				client.Close()
			}
		})
	}
	f("ecdsa", "ecdsa", false)
	f("rsa", "rsa", false)
	f("resumed", "rsa", true)
}
