package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// word pairs a number of the protocol with Kafka's name for it. A number without a constant is newer than the library.
type word[N ~int8] struct {
	number N
	name   string
}

type words[N ~int8] []word[N]

var (
	aclResources = words[kmsg.ACLResourceType]{
		{kmsg.ACLResourceTypeTopic, "Topic"}, {kmsg.ACLResourceTypeGroup, "Group"},
		{kmsg.ACLResourceTypeCluster, "Cluster"}, {kmsg.ACLResourceTypeTransactionalId, "TransactionalId"},
		{kmsg.ACLResourceTypeDelegationToken, "DelegationToken"}, {kmsg.ACLResourceTypeUser, "User"},
	}
	aclPatterns = words[kmsg.ACLResourcePatternType]{
		{kmsg.ACLResourcePatternTypeLiteral, "Literal"}, {kmsg.ACLResourcePatternTypePrefixed, "Prefixed"},
	}
	aclPermissions = words[kmsg.ACLPermissionType]{
		{kmsg.ACLPermissionTypeAllow, "Allow"}, {kmsg.ACLPermissionTypeDeny, "Deny"},
	}
	aclOperations = words[kmsg.ACLOperation]{
		{kmsg.ACLOperationAll, "All"}, {kmsg.ACLOperationRead, "Read"}, {kmsg.ACLOperationWrite, "Write"},
		{kmsg.ACLOperationCreate, "Create"}, {kmsg.ACLOperationDelete, "Delete"}, {kmsg.ACLOperationAlter, "Alter"},
		{kmsg.ACLOperationDescribe, "Describe"}, {kmsg.ACLOperationClusterAction, "ClusterAction"},
		{kmsg.ACLOperationDescribeConfigs, "DescribeConfigs"}, {kmsg.ACLOperationAlterConfigs, "AlterConfigs"},
		{kmsg.ACLOperationIdempotentWrite, "IdempotentWrite"}, {kmsg.ACLOperationCreateTokens, "CreateTokens"},
		{kmsg.ACLOperationDescribeTokens, "DescribeTokens"},
		{15, "TwoPhaseCommit"}, // KIP-939
	}
)

func (w words[N]) number(name string) (N, error) {
	for _, e := range w {
		if e.name == name {
			return e.number, nil
		}
	}
	return 0, &kafka.Refusal{
		Code: kerr.InvalidRequest.Message, Message: fmt.Sprintf("%q is not a word of Kafka's ACLs", name),
	}
}

// name falls back to the number, so that an ACL of a newer Kafka is still listed.
func (w words[N]) name(number N) string {
	for _, e := range w {
		if e.number == number {
			return e.name
		}
	}
	return fmt.Sprintf("#%d", int8(number))
}

// aclNumbers are the enumerated fields of one ACL.
type aclNumbers struct {
	resource   kmsg.ACLResourceType
	pattern    kmsg.ACLResourcePatternType
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

func numbersOf(a kafka.ACL) (n aclNumbers, err error) {
	if n.resource, err = aclResources.number(a.ResourceType); err != nil {
		return n, err
	}
	if n.pattern, err = aclPatterns.number(a.Pattern); err != nil {
		return n, err
	}
	if n.operation, err = aclOperations.number(a.Operation); err != nil {
		return n, err
	}
	n.permission, err = aclPermissions.number(a.Permission)
	return n, err
}

const (
	// singly is how many principals, or users, are asked for one by one.
	singly = 8
	// aclComparisons bounds what one request makes of the controller, which does nothing else meanwhile: it compares each
	// filter with each ACL, some millions in a second.
	aclComparisons = 2_000_000
	// unknownACLs is how many ACLs a cluster is taken to have before all of them have been read.
	unknownACLs = 20_000
)

// filters is how many filters a request may have.
func (c *Client) filters() int {
	have := c.acls.Load()
	if have == 0 {
		have = unknownACLs
	}
	return int(max(1, aclComparisons/have))
}

// smaller cuts batches so that none has more items than that.
func smaller[T any](all [][]T, most int) (cut [][]T) {
	for _, batch := range all {
		cut = slices.AppendSeq(cut, slices.Chunk(batch, most))
	}
	return cut
}

// ACLs implements kafka.UserAdmin with one request, or with one for each of few principals.
func (c *Client) ACLs(ctx context.Context, principals []string) ([]kafka.ACL, error) {
	if principals == nil || len(principals) > singly {
		acls, have, err := c.aclsOf(ctx, nil, wantedOf(principals))
		if err == nil {
			c.acls.Store(int64(have))
		}
		return acls, err
	}
	var acls []kafka.ACL
	for i := range principals {
		of, _, err := c.aclsOf(ctx, &principals[i], wantedOf(nil))
		if err != nil {
			return nil, err
		}
		acls = append(acls, of...)
	}
	return acls, nil
}

// wantedOf tells whether something is one of some names; nil = of all. A cluster may have a hundred times as much as is
// asked about, and what is not wanted is not made.
func wantedOf(names []string) func(string) bool {
	if names == nil {
		return func(string) bool { return true }
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	return func(name string) bool { return wanted[name] }
}

// aclsOf asks for the ACLs of one principal; nil = of all. It returns those of the principals that are wanted, and how
// many Kafka has told of.
func (c *Client) aclsOf(
	ctx context.Context, principal *string, wanted func(principal string) bool,
) (acls []kafka.ACL, have int, err error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.Principal = principal
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := read[*kmsg.DescribeACLsResponse](ctx, c, req)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list ACLs: %w", err)
	}
	for _, r := range resp.Resources {
		have += len(r.ACLs)
		for _, a := range r.ACLs {
			if !wanted(a.Principal) {
				continue
			}
			acls = append(acls, kafka.ACL{
				Principal: a.Principal, Host: a.Host,
				ResourceType: aclResources.name(r.ResourceType), ResourceName: r.ResourceName,
				Pattern:   aclPatterns.name(r.ResourcePatternType),
				Operation: aclOperations.name(a.Operation), Permission: aclPermissions.name(a.PermissionType),
			})
		}
	}
	return acls, have, nil
}

// CreateACLs implements kafka.UserAdmin with one request per thousand ACLs.
func (c *Client) CreateACLs(ctx context.Context, acls []kafka.ACL) ([]error, error) {
	if have := c.acls.Load(); have > 0 {
		c.acls.Store(have + int64(len(acls)))
	}
	return eachACL(acls, itemsPerRequest, "create ACL", func(chunk []numberedACL, failed func(numberedACL, error)) error {
		req := kmsg.NewPtrCreateACLsRequest()
		for _, a := range chunk {
			item := kmsg.NewCreateACLsRequestCreation()
			item.ResourceType, item.ResourceName, item.ResourcePatternType = a.resource, a.acl.ResourceName, a.pattern
			item.Principal, item.Host = a.acl.Principal, a.acl.Host
			item.Operation, item.PermissionType = a.operation, a.permission
			req.Creations = append(req.Creations, item)
		}
		resp, err := write[*kmsg.CreateACLsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for i, a := range chunk {
			if i >= len(resp.Results) {
				failed(a, errNoAnswer)
				continue
			}
			failed(a, answered(resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage))
		}
		return nil
	})
}

// DeleteACLs implements kafka.UserAdmin with one request per thousand ACLs, or for fewer where the cluster has many.
func (c *Client) DeleteACLs(ctx context.Context, acls []kafka.ACL) ([]error, error) {
	return eachACL(acls, c.filters(), "delete ACL", func(chunk []numberedACL, failed func(numberedACL, error)) error {
		req := kmsg.NewPtrDeleteACLsRequest()
		for _, a := range chunk {
			item := kmsg.NewDeleteACLsRequestFilter()
			item.ResourceType, item.ResourcePatternType = a.resource, a.pattern
			item.ResourceName = kmsg.StringPtr(a.acl.ResourceName)
			item.Principal, item.Host = kmsg.StringPtr(a.acl.Principal), kmsg.StringPtr(a.acl.Host)
			item.Operation, item.PermissionType = a.operation, a.permission
			req.Filters = append(req.Filters, item)
		}
		resp, err := write[*kmsg.DeleteACLsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for i, a := range chunk {
			if i >= len(resp.Results) {
				failed(a, errNoAnswer)
				continue
			}
			failed(a, deletedACLs(resp.Results[i]))
		}
		return nil
	})
}

// deletedACLs is what came of one filter.
func deletedACLs(r kmsg.DeleteACLsResponseResult) error {
	err := answered(r.ErrorCode, r.ErrorMessage)
	for _, m := range r.MatchingACLs {
		if err == nil {
			err = answered(m.ErrorCode, m.ErrorMessage)
		}
	}
	return err
}

// DeleteACLsOf implements kafka.UserAdmin with one filter for each.
func (c *Client) DeleteACLsOf(ctx context.Context, of []kafka.ACLsOf) ([]error, error) {
	const attempt = "delete the ACLs of"
	results := make([]error, len(of))
	index := make(map[kafka.ACLsOf]int, len(of))
	for i, f := range of {
		index[f] = i
	}
	record := func(f kafka.ACLsOf, err error) { results[index[f]] = attempting(err, attempt+" "+f.Principal) }
	all := smaller(batches(of, func(f kafka.ACLsOf) int { return f.Count }), c.filters())
	err := inBatches(all, func(chunk []kafka.ACLsOf) error {
		req := kmsg.NewPtrDeleteACLsRequest()
		for _, f := range chunk {
			permission, err := aclPermissions.number(f.Permission)
			if err != nil {
				return err
			}
			item := kmsg.NewDeleteACLsRequestFilter()
			item.ResourceType, item.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			item.Operation, item.PermissionType = kmsg.ACLOperationAny, permission
			item.Principal = kmsg.StringPtr(f.Principal)
			req.Filters = append(req.Filters, item)
		}
		resp, err := write[*kmsg.DeleteACLsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for i, f := range chunk {
			if i >= len(resp.Results) {
				record(f, errNoAnswer)
				continue
			}
			record(f, deletedACLs(resp.Results[i]))
		}
		return nil
	}, record)
	if err != nil {
		return nil, fmt.Errorf("%s %d principals: %w", attempt, len(of), err)
	}
	return results, nil
}

// numberedACL is an ACL with its place in the caller's list.
type numberedACL struct {
	aclNumbers
	acl   kafka.ACL
	index int
}

// eachACL sends the ACLs in batches and returns their errors in the order of acls. It does not send an ACL with a word
// that is not Kafka's.
func eachACL(
	acls []kafka.ACL, most int, attempt string, send func([]numberedACL, func(numberedACL, error)) error,
) ([]error, error) {
	results := make([]error, len(acls))
	record := func(a numberedACL, err error) {
		what := fmt.Sprintf("%s of %s on %s %q", attempt, a.acl.Principal, a.acl.ResourceType, a.acl.ResourceName)
		results[a.index] = attempting(err, what)
	}
	numbered := make([]numberedACL, 0, len(acls))
	for i, a := range acls {
		n, err := numbersOf(a)
		item := numberedACL{n, a, i}
		if err != nil {
			record(item, err)
			continue
		}
		numbered = append(numbered, item)
	}
	err := inBatches(smaller(batches(numbered, oneRecord), most),
		func(chunk []numberedACL) error { return send(chunk, record) }, record)
	if err != nil {
		return nil, fmt.Errorf("%s (%d of them): %w", attempt, len(acls), err)
	}
	return results, nil
}
