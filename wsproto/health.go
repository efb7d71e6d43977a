package wsproto

// This file owns the answer to health checks, which come to the port of the clients.

// HealthPath is the path of health checks. Such a request is no upgrade, so [ParseUpgrade] returns 426 for it. A caller
// that serves health checks looks at [Request].Path before it refuses.
const HealthPath = "/health"

// HealthSize is how many bytes [AppendHealthOK] appends.
const HealthSize = len(healthOK)

const healthOK = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Cache-Control: no-store\r\nContent-Length: 3\r\n\r\nok\n"

// AppendHealthOK appends the whole response to a health check that passes. The caller then closes the connection.
func AppendHealthOK(dst []byte) []byte { return append(dst, healthOK...) }
