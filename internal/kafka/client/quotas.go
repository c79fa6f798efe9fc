package client

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

const userEntity = "user"

// Quotas implements kafka.UserAdmin with one request, or with one for each of few users.
func (c *Client) Quotas(ctx context.Context, users []string) (map[string]map[string]float64, error) {
	component := kmsg.NewDescribeClientQuotasRequestComponent()
	component.EntityType, component.MatchType = userEntity, kmsg.QuotasMatchTypeAny
	if users == nil || len(users) > singly {
		return c.quotasOf(ctx, component, wantedOf(users))
	}
	quotas := map[string]map[string]float64{}
	for i, user := range users {
		component.MatchType, component.Match = kmsg.QuotasMatchTypeExact, &users[i]
		if user == kafka.DefaultUser {
			component.MatchType, component.Match = kmsg.QuotasMatchTypeDefault, nil
		}
		of, err := c.quotasOf(ctx, component, wantedOf(nil))
		if err != nil {
			return nil, err
		}
		maps.Copy(quotas, of)
	}
	return quotas, nil
}

// quotasOf asks for quotas, and returns those of the users that are wanted.
func (c *Client) quotasOf(
	ctx context.Context, component kmsg.DescribeClientQuotasRequestComponent, wanted func(user string) bool,
) (map[string]map[string]float64, error) {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = true
	req.Components = append(req.Components, component)
	resp, err := read[*kmsg.DescribeClientQuotasResponse](ctx, c, req)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("list quotas: %w", err)
	}
	quotas := map[string]map[string]float64{}
	for _, e := range resp.Entries {
		user, ok := onlyUser(len(e.Entity), func(i int) (string, *string) {
			return e.Entity[i].Type, e.Entity[i].Name
		})
		if !ok || !wanted(user) {
			continue
		}
		quotas[user] = make(map[string]float64, len(e.Values))
		for _, v := range e.Values {
			quotas[user][v.Key] = v.Value
		}
	}
	return quotas, nil
}

// AlterQuotas implements kafka.UserAdmin with one request per thousand users. Kafka makes all changes of one user or
// none.
func (c *Client) AlterQuotas(ctx context.Context, changes map[string]map[string]*float64) (map[string]error, error) {
	records := func(user string) int { return len(changes[user]) }
	const attempt = "alter quotas of user"
	return eachName(changes, records, attempt, func(users []string, results map[string]error) error {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		for _, user := range users {
			entity := kmsg.NewAlterClientQuotasRequestEntryEntity()
			entity.Type, entity.Name = userEntity, kmsg.StringPtr(user)
			if user == kafka.DefaultUser {
				entity.Name = nil
			}
			entry := kmsg.NewAlterClientQuotasRequestEntry()
			entry.Entity = append(entry.Entity, entity)
			for _, key := range sortedKeys(changes[user]) {
				op := kmsg.NewAlterClientQuotasRequestEntryOp()
				op.Key = key
				if value := changes[user][key]; value != nil {
					op.Value = *value
				} else {
					op.Remove = true
				}
				entry.Ops = append(entry.Ops, op)
			}
			req.Entries = append(req.Entries, entry)
		}
		resp, err := write[*kmsg.AlterClientQuotasResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, e := range resp.Entries {
			user, ok := onlyUser(len(e.Entity), func(i int) (string, *string) {
				return e.Entity[i].Type, e.Entity[i].Name
			})
			if ok {
				results[user] = answered(e.ErrorCode, e.ErrorMessage)
			}
		}
		return nil
	})
}

// onlyUser returns the name of an entity whose only part is a user, named or the default one.
func onlyUser(n int, part func(int) (kind string, name *string)) (string, bool) {
	if n != 1 {
		return "", false
	}
	kind, name := part(0)
	switch {
	case kind != userEntity:
		return "", false
	case name == nil:
		return kafka.DefaultUser, true
	}
	return *name, *name != kafka.DefaultUser
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
