package tlsconn

import (
	"crypto/tls"
	"fmt"
)

// alert is the description of an alert (RFC 8446 §6); its zero value, which is close_notify on the wire, stands for "no
// alert" in results.
type alert byte

const (
	alertCloseNotify       alert = 0
	alertUnexpectedMessage alert = 10
	alertBadRecordMAC      alert = 20
	alertRecordOverflow    alert = 22
	alertIllegalParameter  alert = 47
	alertDecodeError       alert = 50
	alertProtocolVersion   alert = 70
	alertInternalError     alert = 80
	alertUserCanceled      alert = 90
	alertNoRenegotiation   alert = 100
)

const (
	levelWarning = 1
	levelFatal   = 2
)

// A ClientError says what a client did that ended the connection; the client was sent Alert.
type ClientError struct {
	Alert tls.AlertError
}

func (e *ClientError) Error() string {
	return fmt.Sprintf("the client broke TLS: it was sent the alert %q", e.Alert.Error())
}

// An AlertError says that the client ended the connection with a fatal alert.
type AlertError struct {
	Alert tls.AlertError
}

func (e *AlertError) Error() string {
	return fmt.Sprintf("the client ended the connection with the alert %q", e.Alert.Error())
}

// clientErrors holds one error for each alert, so that a flood of broken clients makes no garbage.
var clientErrors = func() (all [256]*ClientError) {
	for i := range all {
		all[i] = &ClientError{Alert: tls.AlertError(i)}
	}
	return all
}()
