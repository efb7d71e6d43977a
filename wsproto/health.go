package wsproto

import "strconv"

// This file owns the answers in plain text: to health checks, which come to the port of the clients, and to ACME servers.

// MaxText bounds the text of [AppendText], in bytes. Its answer has so many and textHead more at most.
const (
	MaxText  = 1 << 10
	textHead = 160
)

// TextSize returns an upper bound of what [AppendText] appends, in bytes.
func TextSize(text string) int { return textHead + len(text) }

// IsHealthCheck reports whether the request is for /health or /health/. [ParseUpgrade] returns 426 for a health check,
// since it is no upgrade. A caller that serves health checks asks here before it refuses.
func (r *Request) IsHealthCheck() bool {
	return string(r.Path) == "/health" || string(r.Path) == "/health/"
}

// AppendText appends a whole response with status 200 and a text, which is left out if head is true. The caller then closes the
// connection. It panics if the text is longer than MaxText.
func AppendText(dst []byte, head bool, text string) []byte {
	if len(text) > MaxText {
		panic("BUG: the text of a response is too long")
	}
	dst = append(dst, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Cache-Control: no-store\r\nContent-Length: "...)
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), "\r\n\r\n"...)
	if head {
		return dst
	}
	return append(dst, text...)
}
