package ring

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the benchmark of a ring under load.

// BenchmarkEcho measures messages of 200 bytes over 64 connections that each wait for their echo. server-cpu-ns/op is
// the processor time of the loop's thread alone; ns/op includes the clients, which share the machine.
func BenchmarkEcho(b *testing.B) {
	testPlans(b, func(name string, p Plan) {
		b.Run(name+"/wait for one", func(b *testing.B) { benchmarkEcho(b, p, Window{Min: 1}) })
		b.Run(name+"/window 500us", func(b *testing.B) {
			benchmarkEcho(b, p, Window{Min: 256, Max: 500 * time.Microsecond})
		})
	})
}

func benchmarkEcho(b *testing.B, p Plan, w Window) {
	s := startEcho(b, p, w)
	const clients = 64
	var wg sync.WaitGroup
	before := s.threadTime(b)
	for i := range clients {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			message := make([]byte, 200)
			for range (b.N + i) / clients {
				if _, err := c.Write(message); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, message); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(s.threadTime(b)-before)/float64(b.N), "server-cpu-ns/op")
	s.close()
}

// threadTime returns the processor time of the loop's thread.
func (s *echoServer) threadTime(b *testing.B) (d time.Duration) {
	s.do(func(*echoServer) {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			b.Error(err)
		}
		d = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	})
	return d
}
