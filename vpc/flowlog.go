package vpc

import (
	"errors"
	"slices"
	"strings"
)

// Bounds of the calls on flow logs. Source: EC2 API reference, CreateFlowLogs and DeleteFlowLogs.
const (
	maxFlowLogResources = 300
	maxFlowLogDeletes   = 1000
)

// NewFlowLogs is what CreateFlowLogs is told.
type NewFlowLogs struct {
	Resources              []string // ids of what ResourceType says
	ResourceType           string   // VPC, Subnet, NetworkInterface, …
	TrafficType            string   // ACCEPT, REJECT or ALL; needed for the three above
	DestinationType        string   // "": cloud-watch-logs
	Destination            string   // ARN
	LogGroup               string   // instead of Destination, of cloud-watch-logs only
	PermissionARN          string
	Format                 string // "": the default
	MaxAggregationInterval *int32 // seconds, 60 or 600; nil: 600
	FileFormat             string // "", plain-text or parquet
	TagSpecifications      []TagSpecification
}

// Unsuccessful is a resource that a call over many could do nothing for, and why.
type Unsuccessful struct {
	Resource string
	Error    *Error
}

// CreateFlowLogs refuses what EC2 refuses, and then says for each resource that no log was made: there
// is nothing yet that writes records, and a log that is said to be active and writes nothing would be
// a lie.
func (s *State) CreateFlowLogs(in NewFlowLogs) ([]Unsuccessful, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	out := make([]Unsuccessful, len(in.Resources))
	for i, id := range in.Resources {
		refusal, err := s.flowLogRefusal(in.ResourceType, id)
		if err != nil {
			return nil, err
		}
		out[i] = Unsuccessful{id, refusal}
	}
	return out, nil
}

// flowLogRefusal says why a resource gets no flow log. A malformed id fails the whole call.
func (s *State) flowLogRefusal(kind, id string) (*Error, error) {
	var err error
	switch kind {
	case "VPC":
		_, err = s.findVPC(VPCID(id))
	case "Subnet":
		_, err = s.findSubnet(SubnetID(id))
	case "NetworkInterface":
		_, err = s.findInterface(InterfaceID(id))
	default: // nothing of the kind is served, so whatever it is said to be is not there
		return Errorf(CodeInvalidParameterValue, "The %s '%s' does not exist", kind, id), nil
	}
	if refusal, ok := errors.AsType[*Error](err); ok && strings.HasSuffix(string(refusal.Code), ".NotFound") {
		return refusal, nil
	}
	return Errorf(CodeUnsupportedOperation, "No flow log was created: flow log records are not written yet."), err
}

var (
	flowLogResourceTypes = []string{"VPC", "Subnet", "NetworkInterface", "TransitGateway", "TransitGatewayAttachment", "RegionalNatGateway"}
	flowLogTrafficTypes  = []string{"ACCEPT", "REJECT", "ALL"}
	flowLogDestinations  = []string{cloudWatchLogs, "s3", "kinesis-data-firehose"}
	flowLogFileFormats   = []string{"", "plain-text", "parquet"}
)

// flowLogRecordFields are what a record may hold. Source: VPC user guide, "Flow log records".
var flowLogRecordFields = strings.Fields(`
	version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
	vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id
	pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path ecs-cluster-arn ecs-cluster-name
	ecs-container-instance-arn ecs-container-instance-id ecs-container-id ecs-second-container-id ecs-service-name
	ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason resource-id encryption-status instance-tag
	instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type next-hop-interface-id
	next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type
`)

// validFlowLogFormat reports whether a format is ${field} ${field} and so on.
func validFlowLogFormat(format string) bool {
	for word := range strings.FieldsSeq(format) {
		name, ok := strings.CutPrefix(word, "${")
		name, closed := strings.CutSuffix(name, "}")
		if !ok || !closed || !slices.Contains(flowLogRecordFields, name) {
			return false
		}
	}
	return strings.TrimSpace(format) != ""
}

const cloudWatchLogs = "cloud-watch-logs"

func (in NewFlowLogs) validate() error {
	if _, err := specifiedTags(in.TagSpecifications, "vpc-flow-log"); err != nil {
		return err
	}
	if len(in.Resources) > maxFlowLogResources {
		return Errorf(CodeInvalidParameterValue, "The maximum number of resources of a request is %d.", maxFlowLogResources)
	}
	if in.DestinationType == "" {
		in.DestinationType = cloudWatchLogs
	}
	ofPackets := slices.Index(flowLogResourceTypes, in.ResourceType) < 3
	switch {
	case !slices.Contains(flowLogResourceTypes, in.ResourceType):
		return errValue(in.ResourceType, "resourceType")
	case in.TrafficType == "" && ofPackets:
		return errMissing("TrafficType")
	case in.TrafficType != "" && !slices.Contains(flowLogTrafficTypes, in.TrafficType):
		return errValue(in.TrafficType, "trafficType")
	case !slices.Contains(flowLogDestinations, in.DestinationType):
		return errValue(in.DestinationType, "logDestinationType")
	case in.MaxAggregationInterval != nil && *in.MaxAggregationInterval != 60 && *in.MaxAggregationInterval != 600:
		return Errorf(CodeInvalidParameter, "Invalid Flow Log Max Aggregation Interval")
	case in.LogGroup != "" && in.Destination != "":
		return Errorf(CodeInvalidParameter, "Please only provide LogGroupName or only provide LogDestination.")
	case in.LogGroup == "" && in.Destination == "":
		return Errorf(CodeInvalidParameter, "LogDestination can't be empty if LogGroupName is not provided.")
	case in.LogGroup != "" && in.DestinationType != cloudWatchLogs:
		return Errorf(CodeInvalidParameter, "LogDestination type must be cloud-watch-logs if LogGroupName is provided.")
	case in.PermissionARN == "" && in.DestinationType == cloudWatchLogs:
		return Errorf(CodeInvalidParameter, "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.")
	case in.Destination != "" && !strings.HasPrefix(in.Destination, "arn:"):
		return errValue(in.Destination, "logDestination")
	case in.Format != "" && !validFlowLogFormat(in.Format):
		return errValue(in.Format, "logFormat")
	case !slices.Contains(flowLogFileFormats, in.FileFormat):
		return errValue(in.FileFormat, "destinationOptions.fileFormat")
	}
	return nil
}

// FlowLogQuery selects flow logs, of which there are none.
type FlowLogQuery struct {
	IDs     []string
	Filters []Filter
	Page    Page
}

// DescribeFlowLogs refuses unknown ids, and all ids are unknown.
func (s *State) DescribeFlowLogs(q FlowLogQuery) error {
	none := func(struct{}) Tags { return nil }
	if _, err := flowLogFields.Where(s, q.Filters, none); err != nil {
		return err
	}
	if len(q.IDs) > 0 {
		return errNoFlowLog(q.IDs[0])
	}
	_, _, err := paginate([]struct{}(nil), "flow-log", nil, q.Page)
	return err
}

var flowLogFields = func() Fields[struct{}] {
	f := Fields[struct{}]{}
	for _, name := range []string{
		"deliver-log-status", "log-destination-type", "flow-log-id", "log-group-name", "resource-id", "traffic-type",
	} {
		f[name] = func(*State, struct{}) []string { return nil }
	}
	return f
}()

// DeleteFlowLogs says of each id that there is no such flow log.
func (s *State) DeleteFlowLogs(ids []string) ([]Unsuccessful, error) {
	if len(ids) > maxFlowLogDeletes {
		return nil, Errorf(CodeInvalidParameterValue, "The maximum number of flow logs of a request is %d.", maxFlowLogDeletes)
	}
	out := make([]Unsuccessful, len(ids))
	for i, id := range ids {
		out[i] = Unsuccessful{id, errNoFlowLog(id)}
	}
	return out, nil
}

func errNoFlowLog(id string) *Error {
	return Errorf(CodeInvalidFlowLogIDNotFound, "The flow log ID '%s' does not exist", id)
}
