package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"millrace/wsproto"
)

// This file proves how messages of clients are expanded: the examples of RFC 7692, all levels of compress/flate, bombs, and
// broken ones.

// pack compresses a message as a client does.
func pack(t testing.TB, message string, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, message)
	w.Flush()
	return b.Bytes()[:b.Len()-4]
}

// TestExpandExamples proves that the examples of RFC 7692 §7.2.3 are read.
func TestExpandExamples(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		b, err := hex.DecodeString(strings.ReplaceAll(message, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var x Expander
		got, bad := x.Expand(b, 100)
		if bad != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", message, got, bad, want)
		}
	}
	f("f2 48 cd c9 c9 07 00", "Hello")                              // §7.2.3.1: one block
	f("00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello")                  // §7.2.3.3: no compression
	f("f3 48 cd c9 c9 07 00 00", "Hello")                           // §7.2.3.4: BFINAL
	f("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello")            // §7.2.3.5: two blocks
	f("00", "")                                                     // §7.2.3.6: an empty message
	f("", "")                                                       // and one of nothing at all
	f("f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00", "HelloHello") // two streams
}

// TestExpandLevels proves that a message of any length comes through, at every level, and that it is refused one byte over the
// limit.
func TestExpandLevels(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var x Expander
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		for _, n := range []int{1, 100, 5000, 16 << 10, 100_000} {
			message := offer(rng, n)
			packed := pack(t, message, level)
			if got, bad := x.Expand(packed, n); bad != nil || string(got) != message {
				t.Errorf("level %d, %d bytes: %d came through, %v", level, n, len(got), bad)
			}
			if _, bad := x.Expand(packed, n-1); bad == nil || bad.Code != wsproto.StatusTooBig {
				t.Errorf("level %d, %d bytes with a limit of one less: %v", level, n, bad)
			}
		}
	}
}

// TestBomb proves that a message that would become huge ends at the limit, without more memory than that.
func TestBomb(t *testing.T) {
	const limit = 128 << 10
	var x Expander
	bomb := pack(t, strings.Repeat("a", 32<<20), flate.BestCompression)
	if _, bad := x.Expand(bomb, limit); bad == nil || bad.Code != wsproto.StatusTooBig {
		t.Error(bad)
	}
	if cap(x.expanded) > limit+1 {
		t.Errorf("%d bytes were taken", cap(x.expanded))
	}
	if _, bad := x.Expand(bytes.Repeat([]byte{3, 0}, 30_000), limit); bad == nil || bad.Code != wsproto.StatusInvalidPayload {
		t.Errorf("30,000 streams: %v", bad)
	}
	if st := x.Stats(); st.Failed != 2 {
		t.Errorf("%+v", st)
	}
}

// TestBroken proves that a message that is cut off or altered is refused or read as something else, and harms no later one.
func TestBroken(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var x Expander
	message := offer(rng, 2000)
	packed := pack(t, message, flate.DefaultCompression)
	refused := 0
	for n := range packed {
		if got, bad := x.Expand(packed[:n], 1<<16); bad != nil {
			refused++
		} else if !strings.HasPrefix(message, string(got)) && n > 0 {
			refused++ // the ending was taken for something else
		}
	}
	if refused < len(packed)/2 {
		t.Errorf("%d of %d beginnings were refused", refused, len(packed))
	}
	for range 2000 {
		b := bytes.Clone(packed)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		x.Expand(b, 1<<16)
	}
	if got, bad := x.Expand(packed, 1<<16); bad != nil || string(got) != message {
		t.Errorf("the next message: %v", bad)
	}
}

// FuzzExpand holds the result against compress/flate: the same bytes, or an error of both.
func FuzzExpand(f *testing.F) {
	f.Add([]byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 7, 0})
	f.Add([]byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0})
	f.Add(pack(f, strings.Repeat("abc", 1000), 6))
	var x Expander
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return // an empty message, for us
		}
		const limit = 1 << 16
		got, bad := x.Expand(message, limit)
		stream := bytes.NewReader(append(bytes.Clone(message), ending[:]...))
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(stream), limit+1))
		if err == nil && stream.Len() > len(ending) {
			return // several streams
		}
		switch {
		case len(want) > limit:
			if bad == nil || bad.Code != wsproto.StatusTooBig {
				t.Errorf("%d bytes are read of more than the limit, %v", len(got), bad)
			}
		case err != nil:
			if bad == nil {
				t.Errorf("read as %q, compress/flate says %v", got, err)
			}
		case bad != nil || !bytes.Equal(got, want):
			t.Errorf("%q, %v, compress/flate says %q", got, bad, want)
		}
	})
}
