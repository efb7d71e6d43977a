package wsproto

// This file owns the answer to health checks, which come to the port of the clients.

// HealthSize is an upper bound of what [AppendHealthOK] appends, in bytes.
const HealthSize = len(healthHead + healthBody)

const (
	healthHead = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Cache-Control: no-store\r\nContent-Length: 3\r\n\r\n"
	healthBody = "ok\n"
)

// IsHealthCheck reports whether the request is for /health or /health/. [ParseUpgrade] returns 426 for a health check,
// since it is no upgrade. A caller that serves health checks asks here before it refuses.
func (r *Request) IsHealthCheck() bool {
	return string(r.Path) == "/health" || string(r.Path) == "/health/"
}

// AppendHealthOK appends the whole response to a health check that passes, without a body if head is true. The caller
// then closes the connection.
func AppendHealthOK(dst []byte, head bool) []byte {
	if dst = append(dst, healthHead...); head {
		return dst
	}
	return append(dst, healthBody...)
}
