package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) quotaActions() {
	handle(a, wire.DescribeQuotas, describeQuotas)
	handle(a, wire.ModifyQuota, modifyQuota)
}

func describeQuotas(c *call, in *wire.DescribeQuotasRequest) (*wire.DescribeQuotasResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	settings, err := s.Quotas(ids[vpc.QuotaName](in.QuotaNames))
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeQuotasResult{}
	for _, q := range settings {
		out.Quotas = append(out.Quotas, *quota(q))
	}
	return out, nil
}

func modifyQuota(c *call, in *wire.ModifyQuotaRequest) (*wire.ModifyQuotaResult, error) {
	var value *int
	if in.Value != nil {
		value = new(int(*in.Value))
	}
	var set vpc.QuotaSetting
	err := c.update(func(s *vpc.State) (change vpc.Change, err error) {
		set, change, err = s.SetQuota(vpc.QuotaName(wire.Value(in.QuotaName)), value)
		return change, err
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifyQuotaResult{Quota: quota(set)}, nil
}

func quota(q vpc.QuotaSetting) *wire.Quota {
	return &wire.Quota{
		QuotaName: text(q.Name), Value: new(int32(q.Value)), Default: new(int32(q.Default)), Maximum: new(int32(q.Maximum)),
	}
}
