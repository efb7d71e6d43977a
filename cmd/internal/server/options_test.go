package server

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"millrace/config"
	"millrace/ring"
)

// This file owns the tests that keys of the configuration arrive where they count: the kernel features, of which package
// ring has the table that the tracker acts on, and the limits of addresses and connections.

// TestKernelFeatures proves that config.IOUring, config/default.toml and the table of package ring have the same
// features, in the same order, with the same Linux release and the same needs; and that the wish for each feature
// arrives at that feature.
func TestKernelFeatures(t *testing.T) {
	var keys []string
	for _, f := range config.Default().IOUring.Features() {
		keys = append(keys, f.Name)
		if f.Wish != config.Auto {
			t.Errorf("%s is %q by default, want auto", f.Name, f.Wish)
		}
	}
	var names []string
	for f := range ring.Feature(ring.FeatureCount) {
		names = append(names, f.String())
	}
	if !slices.Equal(keys, names) {
		t.Fatalf("config.IOUring has the features\n%q, package ring has\n%q", keys, names)
	}
	comments := commentsAbove(string(config.DefaultTOML()), "io_uring")
	for i, f := range config.Default().IOUring.Features() {
		info := ring.Feature(i).Info()
		needs := ""
		for _, needed := range info.Needs {
			needs += needed.String()
		}
		if f.Needs != needs {
			t.Errorf("%s: config.IOUring says that it needs %q, package ring %q", f.Name, f.Needs, needs)
		}
		if got := firstOf(`\(Linux ([0-9.]+)\)`, comments[f.Name]); got != info.Kernel {
			t.Errorf("%s: default.toml names Linux %q, package ring %q", f.Name, got, info.Kernel)
		}
		if got := firstOf(`Needs ([a-z_]+)\.`, comments[f.Name]); got != needs {
			t.Errorf("%s: default.toml says that it needs %q, package ring %q", f.Name, got, needs)
		}
		for word, tri := range map[string]ring.Tri{"auto": ring.Auto, "off": ring.Off, "require": ring.Require} {
			var want ring.Want
			want[i] = tri
			c, err := config.Load("test", fmt.Appendf(nil, "io_uring.%s = %q", f.Name, word))
			if err != nil {
				t.Fatal(err)
			}
			if got := ringOptions(c, 1).Want; got != want {
				t.Errorf("%s = %q arrives as %v, want %v", f.Name, word, got, want)
			}
		}
	}
}

// commentsAbove returns the comment above each key of a section of a TOML file with one key a line.
func commentsAbove(file, section string) map[string]string {
	_, file, _ = strings.Cut(file, "["+section+"]\n")
	comments := make(map[string]string)
	comment := ""
	for line := range strings.Lines(file) {
		if strings.HasPrefix(line, "[") {
			break
		}
		if text, isComment := strings.CutPrefix(line, "#"); isComment {
			comment += strings.TrimSuffix(text, "\n")
			continue
		}
		if key, _, isKey := strings.Cut(line, " = "); isKey {
			comments[key] = comment
		}
		comment = ""
	}
	return comments
}

// firstOf returns what the group of a pattern matches, "" when it matches nothing.
func firstOf(pattern, text string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// TestGuardLimits proves that each limit of an address or a connection arrives at the shards under its own name.
func TestGuardLimits(t *testing.T) {
	limits := config.Default().Limits
	from := reflect.ValueOf(&limits).Elem()
	for k := range from.NumField() { // a number of its own for each key
		if from.Field(k).Kind() == reflect.Int {
			from.Field(k).SetInt(int64(1000 + k))
		}
	}
	got := reflect.ValueOf(guardLimits(&limits))
	for k := range got.NumField() {
		name := got.Type().Field(k).Name
		if want := from.FieldByName(name); !want.IsValid() {
			t.Errorf("shard.Limits has %s, config.Limits does not", name)
		} else if got := got.Field(k).Interface(); !reflect.DeepEqual(got, want.Interface()) {
			t.Errorf("%s arrives as %v, want %v", name, got, want)
		}
	}
}
