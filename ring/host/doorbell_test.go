package host

import (
	"sync"
	"testing"
	"time"
)

// This file proves that a doorbell is heard.

// TestDoorbell proves that each ring after a token was taken brings another token, from whichever thread it comes; that rings without a taker
// bring one; and that nothing is left running behind Close.
func TestDoorbell(t *testing.T) {
	d, err := NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	token := func() {
		t.Helper()
		select {
		case <-d.Rung:
		case <-time.After(time.Minute): // bounds a hang
			t.Fatal("it has rung, and nobody hears it")
		}
	}
	token() // it begins with one
	for range 1000 {
		d.Ring()
		token()
	}
	var ringing sync.WaitGroup
	for range 4 {
		ringing.Go(func() {
			for range 1000 {
				d.Ring()
			}
		})
	}
	token()
	ringing.Wait()
	d.Close()
	d.Ring() // comes to nobody
	for n := 0; ; n++ {
		select {
		case <-d.Rung:
			if n > 0 {
				t.Error("there is more than one token")
			}
			continue
		default:
		}
		break
	}
}
