// Package human writes numbers, bytes and times for people.
package human

import "fmt"

// Count returns a number with its noun, whose plural has an s.
func Count(n int, noun string) string { return Plural(n, noun, noun+"s") }

// Plural returns a number with its noun.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Short returns a number for people: three digits and a unit of thousands.
func Short(v float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		if v < 999.5 {
			if v < 9.95 && v != float64(int(v)) {
				return fmt.Sprintf("%.1f%s", v, unit)
			}
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.0fT", v)
}

// Bytes returns a number of bytes for people.
func Bytes(v float64) string {
	text := Short(v)
	if unit := text[len(text)-1]; unit >= 'A' {
		return text[:len(text)-1] + " " + string(unit) + "B"
	}
	return text + " B"
}

// Span returns a time in seconds for people.
func Span(seconds float64) string {
	switch s := max(seconds, 0); {
	case s < 119.5:
		return fmt.Sprintf("%.0f s", s)
	case s < 119.5*60:
		return fmt.Sprintf("%.0f min", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%.0f h", s/3600)
	default:
		return fmt.Sprintf("%.0f days", s/86400)
	}
}
