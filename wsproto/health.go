package wsproto

// HealthPath is the path of health checks. Such a request is no upgrade, so [ParseUpgrade] refuses it with 426, and the
// caller that serves health checks looks at [Request.Path] first.
const HealthPath = "/health"

// HealthSize bounds what [AppendHealthOK] appends.
const HealthSize = len(healthOK)

const healthOK = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Cache-Control: no-store\r\nContent-Length: 3\r\n\r\nok\n"

// AppendHealthOK appends the whole response to a health check that passes, after which the connection is to be closed.
func AppendHealthOK(dst []byte) []byte { return append(dst, healthOK...) }
