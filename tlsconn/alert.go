package tlsconn

// This file owns the numbers of alerts (RFC 8446 §6, RFC 5246 §7.2) and the errors that name one.

import (
	"crypto/tls"
	"fmt"
)

// alert is the description of an alert. As a result its zero value, on the wire close_notify, stands for "no alert".
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

// A ClientError ends a connection whose client broke TLS. Alert is the fatal alert that the client was sent.
type ClientError struct {
	Alert tls.AlertError
}

func (e *ClientError) Error() string {
	return fmt.Sprintf("the client broke TLS and was sent the alert %q", e.Alert.Error())
}

// An AlertError ends a connection whose client sent the fatal alert Alert.
type AlertError struct {
	Alert tls.AlertError
}

func (e *AlertError) Error() string {
	return fmt.Sprintf("the client ended the connection with the alert %q", e.Alert.Error())
}

func alertError(what byte) error { return &AlertError{Alert: tls.AlertError(what)} }

// appendAlert appends a fatal alert in a record without protection, as it is sent before a version is agreed on.
func appendAlert(dst []byte, what alert) []byte {
	return append(dst, byte(typeAlert), 3, 1, 0, 2, levelFatal, byte(what))
}

// clientErrors holds one error for each alert, so that a flood of bad clients makes no garbage.
var clientErrors = func() (all [256]*ClientError) {
	for i := range all {
		all[i] = &ClientError{Alert: tls.AlertError(i)}
	}
	return all
}()
