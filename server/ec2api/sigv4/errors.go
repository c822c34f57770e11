package sigv4

import "net/http"

// Kind says what is wrong with a signature.
type Kind int

const (
	Unsigned     Kind = iota + 1 // no signature at all
	Malformed                    // the signature cannot be read, or leaves out what must be signed
	Expired                      // signed at another time than now
	BadScope                     // signed for another day, region or service
	UnknownKey                   // no such access key
	WrongSecret                  // the signature is another one: other secret, or changed on the way
	WrongToken                   // the session token is missing, or another one than the key's
	ExpiredToken                 // the session is over
)

// Error is a refusal. For turns it into what a service answers.
type Error struct {
	Kind   Kind
	Reason string // for the log and, unless it would help to guess a key, for the caller; never a secret or signature
}

func (e *Error) Error() string { return e.Reason }

const (
	textAuthFailure = "AWS was not able to validate the provided access credentials"
	textExpired     = "The security token included in the request is expired"
	textBadToken    = "The security token included in the request is invalid."
	textMismatch    = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

// For returns code, message and HTTP status as the service answers them: "sts" in its own words, all others as EC2,
// which keeps an unknown key, a wrong secret and a wrong scope apart from nothing.
func (e *Error) For(service string) (code, message string, status int) {
	sts := service == "sts"
	switch {
	case e.Kind == Unsigned:
		return "MissingAuthenticationToken", "Request is missing Authentication Token", http.StatusForbidden
	case e.Kind == Malformed:
		return "IncompleteSignature", e.Reason, http.StatusBadRequest
	case (e.Kind == Expired || e.Kind == ExpiredToken) && !sts:
		return "RequestExpired", e.Reason, http.StatusBadRequest
	case !sts:
		return "AuthFailure", textAuthFailure, http.StatusUnauthorized
	case e.Kind == ExpiredToken:
		return "ExpiredToken", textExpired, http.StatusForbidden
	case e.Kind == UnknownKey, e.Kind == WrongToken:
		return "InvalidClientTokenId", textBadToken, http.StatusForbidden
	case e.Kind == WrongSecret:
		return "SignatureDoesNotMatch", textMismatch, http.StatusForbidden
	default: // Expired, BadScope
		return "SignatureDoesNotMatch", e.Reason, http.StatusForbidden
	}
}
