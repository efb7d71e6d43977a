package wsproto

// This file proves which origins an allow list lets in.

import (
	"net/url"
	"strings"
	"testing"
)

// mustOrigins parses a list that has no fault.
func mustOrigins(t *testing.T, list ...string) *Origins {
	t.Helper()
	o, err := ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Each kind of entry allows the origins that it names, in any case and with the port written or not, and no other.
func TestOriginsAllows(t *testing.T) {
	f := func(entry string, want bool, origins ...string) {
		t.Helper()
		o := mustOrigins(t, "https://other.example", entry)
		for _, origin := range origins {
			if o.Allows([]byte(origin), true) != want {
				t.Errorf("entry %q, origin %q: want %v", entry, origin, want)
			}
		}
	}
	f("https://example.org", true, "https://example.org", "HTTPS://Example.ORG", "https://example.org:443",
		"https://other.example")
	f("https://example.org", false, "http://example.org", "https://example.org:8443", "https://www.example.org",
		"https://example.org.", "https://example.org/", "https://example.orgx", "xhttps://example.org", "example.org",
		"null", "", "https://", "https://example.org https://example.org", "https://example.org:80", "file://",
		"https://example.org\x00", "https://"+strings.Repeat("a", 1000))
	f("HTTPS://Example.org:443", true, "https://example.org")
	f("http://example.org:80", true, "http://example.org", "http://example.org:80")
	f("http://localhost:3000", true, "http://localhost:3000")
	f("http://localhost:3000", false, "http://localhost", "http://localhost:300", "http://localhost:03000")
	f("http://[2001:db8::1]:8080", true, "http://[2001:DB8::1]:8080")
	f("http://[::1]", true, "http://[::1]", "http://[::1]:80")
	f("chrome-extension://abcdefgh", true, "chrome-extension://abcdefgh")
	f("https://*.example.org", true, "https://a.example.org", "https://a.b-c.example.org:443", "https://A.Example.org")
	f("https://*.example.org", false, "https://example.org", "https://.example.org", "http://a.example.org",
		"https://aexample.org", "https://a.example.org:8443", "https://evil.example/.example.org", "https://a..example.org",
		"https://evil.example:1.example.org", "https://u@a.example.org", "https://*.example.org", "null")
	f("https://*.example.org:8443", true, "https://a.example.org:8443")
	f("https://*.example.org:8443", false, "https://a.example.org", "https://example.org:8443")
	f("null", true, "null")
	f("null", false, "NULL", "file://", "", "null ")
	f("file://", true, "file://")
	f("file://", false, "null", "file:///", "file://x")
}

// Without a list every origin is allowed; a request without one is judged by DenyMissing alone.
func TestOriginsMissing(t *testing.T) {
	f := func(o *Origins, some, missing bool) {
		t.Helper()
		if o.Allows([]byte("https://a.example"), true) != some || o.Allows(nil, false) != missing {
			t.Errorf("%+v: want %v, and %v without an origin", o, some, missing)
		}
	}
	f(nil, true, true)
	f(mustOrigins(t), true, true)
	f(mustOrigins(t, "null"), false, true)
	strict := mustOrigins(t)
	strict.DenyMissing = true
	f(strict, true, false)
}

// An entry that no browser could send is refused, and the error names it.
func TestParseOriginsRefuses(t *testing.T) {
	for _, entry := range []string{"", "*", "example.org", "https://", "https://*", "https://*.", "https://*.*.example.org",
		"https://a.*.example.org", "https://*example.org", "https://example.org/", "https://example.org/path",
		"https://example.org:", "https://example.org:0", "https://example.org:080", "https://example.org:65536",
		"https://example.org:x", "https://u@example.org", "https://exa mple.org", "https://bücher.example",
		"https://\u212a.example", "NULL",
		"https://example.org, https://example.com", "https://.example.org", "https://example.org.", "https://[::1",
		"https://[0:0::1]", "https://[fe80::1%25eth0]", "https://*.[::1]", "1x://a", "://a", "https://::1",
		"https://" + strings.Repeat("a", 400)} {
		if _, err := ParseOrigins([]string{"https://good.example", entry}); err == nil ||
			!strings.Contains(err.Error(), "\""+entry+"\"") {
			t.Errorf("%q: error %v", entry, err)
		}
	}
}

// Every entry without a wildcard allows itself. It allows another origin only if net/url finds the same scheme, host
// and port in it; a wildcard only if the host ends with the domain.
func FuzzOrigins(f *testing.F) {
	f.Add("https://example.org", "HTTPS://example.ORG:443")
	f.Add("https://*.example.org:8443", "https://a.example.org:8443")
	f.Add("http://[::1]:80", "http://[::1]")
	f.Add("null", "file://")
	f.Fuzz(func(t *testing.T, entry, origin string) {
		o, err := ParseOrigins([]string{entry})
		if err != nil {
			return
		}
		wild := strings.Contains(entry, "*")
		if o.Allows([]byte(entry), true) == wild {
			t.Fatalf("%q allows itself: %v", entry, !wild)
		}
		if !o.Allows([]byte(origin), true) || entry == "null" || entry == "file://" {
			return
		}
		want, err := url.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.Parse(origin)
		if err != nil {
			t.Fatalf("%q allows %q: %s", entry, origin, err)
		}
		port := func(u *url.URL) string {
			if p := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == "" {
				return p
			}
			return u.Port()
		}
		wantHost, gotHost := strings.ToLower(want.Hostname()), strings.ToLower(got.Hostname())
		same := gotHost == wantHost && !wild || wild && strings.HasSuffix(gotHost, wantHost[1:]) && gotHost != wantHost[1:]
		if !same || want.Scheme != got.Scheme || port(want) != port(got) || got.Path != "" || got.User != nil {
			t.Fatalf("%q allows %q", entry, origin)
		}
	})
}
