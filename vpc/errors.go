package vpc

import (
	"errors"
	"fmt"
)

// Code is an EC2 error code: InvalidGroup.NotFound.
type Code string

// The codes of refusals, spelled as EC2 spells them (ID and Id both occur). Source: EC2 API
// reference, "Error codes for the Amazon EC2 API".
const (
	// Of no resource in particular.
	CodeAuthFailure                 Code = "AuthFailure"
	CodeDryRunOperation             Code = "DryRunOperation"
	CodeIdempotentParameterMismatch Code = "IdempotentParameterMismatch"
	CodeInvalidID                   Code = "InvalidID"
	CodeInvalidNextToken            Code = "InvalidNextToken"
	CodeInvalidParameter            Code = "InvalidParameter"
	CodeInvalidParameterCombination Code = "InvalidParameterCombination"
	CodeInvalidParameterValue       Code = "InvalidParameterValue"
	CodeInvalidRequest              Code = "InvalidRequest"
	CodeFilterLimitExceeded         Code = "FilterLimitExceeded"
	CodeMissingInput                Code = "MissingInput"
	CodeMissingParameter            Code = "MissingParameter"
	CodeOperationNotPermitted       Code = "OperationNotPermitted"
	CodeUnauthorizedOperation       Code = "UnauthorizedOperation"
	CodeUnsupportedOperation        Code = "UnsupportedOperation"
	CodeDependencyViolation         Code = "DependencyViolation"
	CodeCannotDelete                Code = "CannotDelete"
	CodeIncorrectState              Code = "IncorrectState"
	CodeResourceCountExceeded       Code = "ResourceCountExceeded"
	CodeResourceLimitExceeded       Code = "ResourceLimitExceeded"

	// Users and access keys, as IAM and STS spell them.
	CodeAccessDenied        Code = "AccessDenied"
	CodeEntityAlreadyExists Code = "EntityAlreadyExists"
	CodeLimitExceeded       Code = "LimitExceeded"
	CodeNoSuchEntity        Code = "NoSuchEntity"
	CodeValidationError     Code = "ValidationError"

	// The server's own trouble: the client may try again.
	CodeInternalError                Code = "InternalError"
	CodeRequestLimitExceeded         Code = "RequestLimitExceeded"
	CodeUnavailable                  Code = "Unavailable"
	CodeInsufficientInstanceCapacity Code = "InsufficientInstanceCapacity"

	// Tags.
	CodeInvalidTagKeyMalformed Code = "InvalidTagKey.Malformed"
	CodeTagLimitExceeded       Code = "TagLimitExceeded"

	// VPCs and subnets.
	CodeInvalidVpcIDNotFound              Code = "InvalidVpcID.NotFound"
	CodeInvalidVpcIDMalformed             Code = "InvalidVpcID.Malformed"
	CodeInvalidVpcRange                   Code = "InvalidVpc.Range"
	CodeVpcLimitExceeded                  Code = "VpcLimitExceeded"
	CodeVPCIdNotSpecified                 Code = "VPCIdNotSpecified"
	CodeDefaultVpcAlreadyExists           Code = "DefaultVpcAlreadyExists"
	CodeInvalidSubnetIDNotFound           Code = "InvalidSubnetID.NotFound"
	CodeInvalidSubnetIDMalformed          Code = "InvalidSubnetID.Malformed"
	CodeInvalidSubnetRange                Code = "InvalidSubnet.Range"
	CodeInvalidSubnetConflict             Code = "InvalidSubnet.Conflict"
	CodeSubnetLimitExceeded               Code = "SubnetLimitExceeded"
	CodeInsufficientFreeAddressesInSubnet Code = "InsufficientFreeAddressesInSubnet"
	CodeInsufficientCidrBlocks            Code = "InsufficientCidrBlocks"

	CodeCidrLimitExceeded                            Code = "CidrLimitExceeded"
	CodeInvalidCidrBlockInUse                        Code = "InvalidCidrBlock.InUse"
	CodeInvalidVpcCidrBlockAssociationIDMalformed    Code = "InvalidVpcCidrBlockAssociationId.Malformed"
	CodeInvalidSubnetCidrBlockAssociationIDNotFound  Code = "InvalidSubnetCidrBlockAssociationID.NotFound"
	CodeInvalidSubnetCidrBlockAssociationIDMalformed Code = "InvalidSubnetCidrBlockAssociationId.Malformed"
	CodeInvalidRouteTableIDNotFound                  Code = "InvalidRouteTableID.NotFound"
	CodeInvalidRouteTableIDMalformed                 Code = "InvalidRouteTableId.Malformed"
	CodeInvalidNetworkACLIDNotFound                  Code = "InvalidNetworkAclID.NotFound"
	CodeInvalidNetworkACLIDMalformed                 Code = "InvalidNetworkAclId.Malformed"
	CodeInvalidInternetGatewayIDNotFound             Code = "InvalidInternetGatewayID.NotFound"
	CodeInvalidInternetGatewayIDMalformed            Code = "InvalidInternetGatewayId.Malformed"

	// Security groups, their rules and prefix lists.
	CodeInvalidGroupNotFound                   Code = "InvalidGroup.NotFound"
	CodeInvalidGroupIDMalformed                Code = "InvalidGroupId.Malformed"
	CodeInvalidGroupDuplicate                  Code = "InvalidGroup.Duplicate"
	CodeSecurityGroupLimitExceeded             Code = "SecurityGroupLimitExceeded"
	CodeInvalidSecurityGroupRuleIDNotFound     Code = "InvalidSecurityGroupRuleId.NotFound"
	CodeInvalidSecurityGroupRuleIDMalformed    Code = "InvalidSecurityGroupRuleId.Malformed"
	CodeInvalidPermissionDuplicate             Code = "InvalidPermission.Duplicate"
	CodeInvalidPermissionNotFound              Code = "InvalidPermission.NotFound"
	CodeRulesPerSecurityGroupLimitExceeded     Code = "RulesPerSecurityGroupLimitExceeded"
	CodeInvalidPrefixListIDNotFound            Code = "InvalidPrefixListID.NotFound"
	CodeInvalidPrefixListIDMalformed           Code = "InvalidPrefixListId.Malformed"
	CodeSecurityGroupRevisionMismatch          Code = "SecurityGroupRevisionMismatch" // ours, after PrefixListVersionMismatch
	CodePrefixListVersionMismatch              Code = "PrefixListVersionMismatch"
	CodePrefixListMaxEntriesExceeded           Code = "PrefixListMaxEntriesExceeded"
	CodeInvalidPrefixListModification          Code = "InvalidPrefixListModification"
	CodeSecurityGroupsPerInterfaceLimit        Code = "SecurityGroupsPerInterfaceLimitExceeded"
	CodeSecurityGroupsPerInstanceLimitExceeded Code = "SecurityGroupsPerInstanceLimitExceeded"

	// Peering, flow logs, insights.
	CodeInvalidVpcPeeringConnectionIDNotFound     Code = "InvalidVpcPeeringConnectionID.NotFound"
	CodeInvalidVpcPeeringConnectionIDMalformed    Code = "InvalidVpcPeeringConnectionId.Malformed"
	CodeInvalidStateTransition                    Code = "InvalidStateTransition"
	CodeVpcPeeringConnectionAlreadyExists         Code = "VpcPeeringConnectionAlreadyExists"
	CodeInvalidVpcCidrBlockAssociationIDNotFound  Code = "InvalidVpcCidrBlockAssociationID.NotFound"
	CodeInvalidFlowLogIDNotFound                  Code = "InvalidFlowLogId.NotFound"
	CodeInvalidNetworkInsightsPathIDNotFound      Code = "InvalidNetworkInsightsPathId.NotFound"
	CodeInvalidNetworkInsightsPathIDMalformed     Code = "InvalidNetworkInsightsPathId.Malformed"
	CodeInvalidNetworkInsightsAnalysisIDNotFound  Code = "InvalidNetworkInsightsAnalysisId.NotFound"
	CodeInvalidNetworkInsightsAnalysisIDMalformed Code = "InvalidNetworkInsightsAnalysisId.Malformed"
	CodeAnalysisExistsForNetworkInsightsPath      Code = "AnalysisExistsForNetworkInsightsPath"

	CodeVpcPeeringConnectionsPerVpcLimitExceeded     Code = "VpcPeeringConnectionsPerVpcLimitExceeded"
	CodeOutstandingVpcPeeringConnectionLimitExceeded Code = "OutstandingVpcPeeringConnectionLimitExceeded"

	// Network interfaces.
	CodeInvalidNetworkInterfaceIDNotFound            Code = "InvalidNetworkInterfaceID.NotFound"
	CodeInvalidNetworkInterfaceIDMalformed           Code = "InvalidNetworkInterfaceId.Malformed"
	CodeInvalidNetworkInterfaceInUse                 Code = "InvalidNetworkInterface.InUse"
	CodeNetworkInterfaceLimitExceeded                Code = "NetworkInterfaceLimitExceeded"
	CodeInvalidAttachmentIDNotFound                  Code = "InvalidAttachmentID.NotFound"
	CodeInvalidNetworkInterfaceAttachmentIDMalformed Code = "InvalidNetworkInterfaceAttachmentId.Malformed"
	CodeAttachmentLimitExceeded                      Code = "AttachmentLimitExceeded"
	CodeResourceAlreadyAssigned                      Code = "Resource.AlreadyAssigned"
	CodeInvalidIPAddressInUse                        Code = "InvalidIPAddress.InUse"
	CodePrivateIPAddressLimitExceeded                Code = "PrivateIpAddressLimitExceeded"

	// Instances and images.
	CodeInvalidInstanceID          Code = "InvalidInstanceID"
	CodeInvalidInstanceIDNotFound  Code = "InvalidInstanceID.NotFound"
	CodeInvalidInstanceIDMalformed Code = "InvalidInstanceID.Malformed"
	CodeIncorrectInstanceState     Code = "IncorrectInstanceState"
	CodeInstanceLimitExceeded      Code = "InstanceLimitExceeded"
	CodeInvalidAMIIDNotFound       Code = "InvalidAMIID.NotFound"
	CodeInvalidAMIIDMalformed      Code = "InvalidAMIID.Malformed"
	CodeInvalidUserDataMalformed   Code = "InvalidUserData.Malformed"
	CodeInvalidInstanceType        Code = "InvalidInstanceType"
)

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
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// errCombination refuses two parameters that exclude each other.
func errCombination(a, b string) *Error {
	return Errorf(CodeInvalidParameterCombination, "The parameter %s cannot be used with the parameter %s", a, b)
}
