package ec2api

import (
	"crypto/sha256"
	"encoding/base32"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) stsActions() {
	handle(a, wire.GetCallerIdentity, getCallerIdentity)
	handle(a, wire.GetSessionToken, getSessionToken)
}

func getCallerIdentity(c *call, _ *wire.GetCallerIdentityRequest) (*wire.GetCallerIdentityResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	account := string(s.Installation().Account)
	return &wire.GetCallerIdentityResult{
		Account: &account,
		Arn:     new("arn:aws:iam::" + account + ":user/" + c.caller.User),
		UserId:  new(userID(account, c.caller.User)),
	}, nil
}

// userID returns an id in the form of AWS's that is always the same for one user.
func userID(account, user string) string {
	sum := sha256.Sum256([]byte(account + "/" + user))
	return "AIDA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// How long a session lasts, in seconds. Source: STS API reference, "GetSessionToken".
const (
	minSession     = 900
	maxSession     = 129_600
	defaultSession = 43_200
)

const maxToken = 4096 // bytes

func getSessionToken(c *call, in *wire.GetSessionTokenRequest) (*wire.GetSessionTokenResult, error) {
	seconds := int32(defaultSession)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	switch {
	case seconds < minSession:
		return nil, errDuration(seconds, "greater", minSession)
	case seconds > maxSession:
		return nil, errDuration(seconds, "less", maxSession)
	case c.caller.Session:
		return nil, vpc.Errorf(vpc.CodeAccessDenied, "Cannot call GetSessionToken with session credentials")
	case in.SerialNumber != nil || in.TokenCode != nil: // there are no such devices: never as if one had agreed
		return nil, vpc.Errorf(vpc.CodeAccessDenied, "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	key, secret, token := c.Keys.NewSession(c.caller, int(wire.Value(in.MinimumSessionTokenSize)))
	var session *vpc.AccessKey
	if err := c.update(func(s *vpc.State) (change vpc.Change, err error) {
		session, change, err = s.CreateSession(c.env, key, time.Duration(seconds)*time.Second)
		return change, err
	}); err != nil {
		return nil, err
	}
	return &wire.GetSessionTokenResult{
		Credentials: &wire.Credentials{
			AccessKeyId: text(session.ID), Expiration: &session.Expires,
			SecretAccessKey: new(wire.Secret(secret)), SessionToken: new(wire.Secret(token)),
		},
		SessionTokenSize:        new(int32(len(token))),
		SessionTokenUtilization: new(int32(len(token) * 100 / maxToken)),
	}, nil
}

func errDuration(seconds int32, than string, limit int) error {
	return vpc.Errorf(vpc.CodeValidationError, "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy "+
		"constraint: Member must have value %s than or equal to %d", seconds, than, limit)
}
