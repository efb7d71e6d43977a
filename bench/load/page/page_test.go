package page

// This file tests the page: as a whole, with texts of strangers, and with odd results.

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/bench/load"
)

var update = flag.Bool("update", false, "write the pages of testdata anew")

// sample returns the result of a run with two storms over TLS, as millrace-load -json printed it.
func sample(t *testing.T) *load.Result {
	t.Helper()
	text, err := os.ReadFile("testdata/result.json")
	if err != nil {
		t.Fatal(err)
	}
	var r load.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// TestHTML proves how the page of a result reads, and that of an empty one. A change of it is seen in testdata, which
// -update writes.
func TestHTML(t *testing.T) {
	f := func(name string, r *load.Result) {
		t.Helper()
		got := AppendHTML([]byte("before"), r)
		if !strings.HasPrefix(string(got), "before<!doctype html>") {
			t.Errorf("%s: it is not appended: %.40q", name, got)
		}
		got = got[len("before"):]
		file := "testdata/" + name
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s differs: look at the new page, and write it with -update if it is right", name)
		}
	}
	r := sample(t)
	r.Config.URL, r.Config.ServerPID = "wss://127.0.0.1:3000/,wss://127.0.0.1:3100/", load.PIDs{4242, 4243}
	r.Cluster = load.Cluster{Nodes: 2, Offers: 60_000, Other: 30_600, Even: 30_250.5, Deviation: 120}
	f("page.html", r)
	f("empty.html", &load.Result{})
}

// shape returns the elements of a page and the names of their attributes, in their order, and checks what holds for
// every page: it is well-formed, has nothing from elsewhere, its headings are in order and its pictures have a text.
func shape(t *testing.T, page []byte) (elements []string) {
	t.Helper()
	heading := "h0"
	for d := xml.NewDecoder(strings.NewReader(string(page))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		text := e.Name.Local
		label, role := "", ""
		for _, a := range e.Attr {
			text += " " + a.Name.Local
			switch a.Name.Local {
			case "role":
				role = a.Value
			case "aria-label":
				label = a.Value
			case "src", "href", "style", "action", "data":
				t.Errorf("<%s> has the attribute %s", e.Name.Local, a.Name.Local)
			}
		}
		elements = append(elements, text)
		switch name := e.Name.Local; {
		case name == "svg" && (role != "img" || len(label) < 20):
			t.Errorf("a picture has the role %q and the text %q", role, label)
		case len(name) == 2 && name[0] == 'h' && name != "hr":
			if name[1] > heading[1]+1 {
				t.Errorf("<%s> follows <%s>", name, heading)
			}
			heading = name
		case name == "script" || name == "link" || name == "img" || name == "iframe" || name == "base":
			t.Errorf("the page has the element <%s>", name)
		}
	}
}

// setTexts sets every text in a value, and gives it a few where it has a list of them.
func setTexts(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		for k := range v.NumField() {
			if v.Field(k).CanSet() {
				setTexts(v.Field(k), text)
			}
		}
	case reflect.Slice:
		for k := range v.Len() {
			setTexts(v.Index(k), text)
		}
	}
}

// TestStrangers proves that no text of a result can become HTML: a page whose texts are hostile has the elements and
// attributes of one whose texts are harmless, and is UTF-8.
func TestStrangers(t *testing.T) {
	with := func(text string) []byte {
		r := sample(t)
		setTexts(reflect.ValueOf(r).Elem(), text)
		return AppendHTML(nil, r)
	}
	want := shape(t, with("harmless"))
	f := func(text, escaped string) {
		t.Helper()
		page := with(text)
		if got := shape(t, page); !slices.Equal(got, want) {
			t.Errorf("%q changes the page", text)
		}
		if n := strings.Count(string(page), escaped); n < 8 {
			t.Errorf("%q is %d times in the page as %q", text, n, escaped)
		}
	}
	f(`</style></title><script>alert(1)</script>`, `&lt;script&gt;alert(1)&lt;/script&gt;`)
	f(`" onload="alert(1)`, `&#34; onload=&#34;alert(1)`)
	f(`' style='x`, `&#39; style=&#39;x`)
	f(`--><img src=x>%s%!d(MISSING)`, `--&gt;&lt;img src=x&gt;%s%!d(MISSING)`)
	f("a\xff\xc0b", "a\ufffdb")
}

// TestOddResults proves that a page has no coordinates and figures that are no numbers, and says what it can: for a run
// that ended in its ramp, without a process, with nothing but zeros, and of many hours.
func TestOddResults(t *testing.T) {
	f := func(name string, r *load.Result, want ...string) {
		t.Helper()
		page := AppendHTML(nil, r)
		shape(t, page)
		for _, word := range []string{"NaN", "Inf", "%!"} {
			if strings.Contains(string(page), word) {
				t.Errorf("%s: the page has %q", name, word)
			}
		}
		for _, text := range want {
			if !strings.Contains(string(page), text) {
				t.Errorf("%s: the page lacks %q", name, text)
			}
		}
	}
	f("zeros", &load.Result{Series: []load.Interval{{}, {}}}, "The counts add up")
	ended := &load.Result{Series: []load.Interval{{Length: 0.3, Announces: 3, Open: 5}}, Problems: []string{"a", "b"}}
	f("ended at once", ended, "There are 2 problems", "<li>b</li>", `aria-label="Connections.`)
	alone := sample(t)
	alone.Server = load.ServerFigures{}
	f("no process", alone, "was not watched")
	f("storms", sample(t), ">storm</text>", ">measured</text>", "There is a problem", `>Errors.</b>`)
	one := &load.Result{Measured: 1, Series: []load.Interval{{Length: 1}}}
	one.Latency.Reply = load.Distribution{Count: 1, Mean: 70, P50: 70, P90: 70, P99: 70, P999: 70, Max: 70,
		Points: []load.Point{{Share: 1, Latency: 70}}}
	one.Series[0].Reply = load.Quantiles{Count: 1, P50: 70, P90: 70, P99: 70, Max: 70}
	f("one latency", one, `<circle`, "max: from 70 µs to 70 µs")
	long := &load.Result{Begun: 3600, Measured: 1e5, Series: make([]load.Interval, 600)}
	for k := range long.Series {
		i := &long.Series[k]
		i.From, i.Length, i.Announces, i.Open = float64(k)*256, 256, 1e9, 4e6
		i.Reply = load.Quantiles{Count: 9, P50: 1, P90: 9, P99: 9e3, Max: 6e7}
	}
	long.Latency.Reply = load.Distribution{Count: math.MaxInt64,
		Points: []load.Point{{Share: 0.1, Latency: 1}, {Share: 1, Latency: 6e7}}}
	f("long", long, "hours since the start of the run", "Every 256 seconds", ">4M</text>", ">60 s</td>")
}
