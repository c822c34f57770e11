package vpc

import (
	"errors"
	"fmt"
)

// Code is an EC2 error code: InvalidGroup.NotFound.
type Code string

// Error is a refusal: the call is wrong, or not now, and nothing was changed. Everything else that
// goes wrong is an ordinary error, and the client sees InternalError.
type Error struct {
	Code    Code
	Message string // to the letter as EC2 says it, where that is known
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an *Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of a refusal, "" for nil and for any other error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
