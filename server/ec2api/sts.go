package ec2api

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) stsActions() {
	handle(a, wire.GetCallerIdentity, getCallerIdentity)
}

func getCallerIdentity(c *call, _ *wire.GetCallerIdentityRequest) (*wire.GetCallerIdentityResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	key := s.AccessKey(vpc.AccessKeyID(c.identity.AccessKeyID))
	if key == nil {
		return nil, fmt.Errorf("access key %s signed a request but is not in the state", c.identity.AccessKeyID)
	}
	account := string(s.Installation().Account)
	return &wire.GetCallerIdentityResult{
		Account: &account,
		Arn:     new("arn:aws:iam::" + account + ":user/" + key.User),
		UserId:  new(userID(account, key.User)),
	}, nil
}

// userID returns an id in the form of AWS's that is always the same for one user.
func userID(account, user string) string {
	sum := sha256.Sum256([]byte(account + "/" + user))
	return "AIDA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
