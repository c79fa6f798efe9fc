package controllertest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func (k *FakeKafka) Quotas(_ context.Context, names []string) (map[string]map[string]float64, error) {
	end, err := k.begin("quotas")
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]float64{}
	for user, quotas := range k.QuotasOf {
		if names == nil || slices.Contains(names, user) {
			found[user] = maps.Clone(quotas)
		}
	}
	return found, end()
}

func (k *FakeKafka) AlterQuotas(_ context.Context, changes map[string]map[string]*float64) (map[string]error, error) {
	end, err := k.begin("quota-alter")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for user, alter := range changes {
		if refused := k.Refuse[user]; user == kafka.DefaultUser && refused != nil {
			results[user] = refused
			continue
		}
		if k.QuotasOf[user] == nil {
			k.QuotasOf[user] = map[string]float64{}
		}
		for key, value := range alter {
			if value == nil {
				delete(k.QuotasOf[user], key)
			} else {
				k.QuotasOf[user][key] = *value
			}
		}
	}
	return results, end()
}

func (k *FakeKafka) ScramCredentials(_ context.Context, names []string) (map[string][]kafka.ScramCredential, error) {
	end, err := k.begin("scram")
	if err != nil {
		return nil, err
	}
	found := map[string][]kafka.ScramCredential{}
	for _, name := range names {
		for mechanism, c := range k.Scram[name] {
			if k.lost[lostCredential{k.Answers, name, mechanism}] {
				continue
			}
			found[name] = append(found[name], kafka.ScramCredential{Mechanism: mechanism, Iterations: c.Iterations})
		}
	}
	return found, end()
}

func (k *FakeKafka) AlterScramCredentials(
	_ context.Context,
	upserts []kafka.ScramUpsert,
	deletions []kafka.ScramDeletion,
) (map[string]error, error) {
	end, err := k.begin("scram-alter")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for _, u := range upserts {
		if results[u.User] = k.Refuse[u.User]; results[u.User] != nil {
			continue
		}
		if k.Scram[u.User] == nil {
			k.Scram[u.User] = map[string]ScramCredential{}
		}
		k.Scram[u.User][u.Mechanism] = ScramCredential{u.Iterations, u.Password}
		k.Upserts[u.User+" "+u.Mechanism]++
		for broker := range k.BrokerCount {
			if !k.Stubborn[broker] {
				delete(k.lost, lostCredential{broker, u.User, u.Mechanism})
			}
		}
	}
	for _, d := range deletions {
		results[d.User] = nil
		delete(k.Scram[d.User], d.Mechanism)
	}
	return results, end()
}

func (k *FakeKafka) ACLs(_ context.Context, principals []string) ([]kafka.ACL, error) {
	end, err := k.begin("acls")
	if err != nil {
		return nil, err
	}
	if k.RefuseACLs != nil {
		return nil, errors.Join(k.RefuseACLs, end())
	}
	if k.NoAuthorizer {
		return nil, errors.Join(noAuthorizer, end())
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(k.ACLSet)), func(a kafka.ACL) bool {
		return principals != nil && !slices.Contains(principals, a.Principal)
	}), end()
}

var noAuthorizer = &kafka.Refusal{Code: "SECURITY_DISABLED", Message: "No Authorizer is configured."}

func (k *FakeKafka) CreateACLs(_ context.Context, acls []kafka.ACL) ([]error, error) {
	end, err := k.begin("acl-create")
	if err != nil {
		return nil, err
	}
	results := make([]error, len(acls))
	for i, a := range acls {
		if results[i] = k.Refuse[strings.TrimPrefix(a.Principal, "User:")]; results[i] == nil {
			results[i] = k.RefuseACL[a]
		}
		if k.NoAuthorizer {
			results[i] = noAuthorizer
		}
		if results[i] == nil {
			k.ACLSet[a] = true
		}
	}
	return results, end()
}

func (k *FakeKafka) DeleteACLs(_ context.Context, acls []kafka.ACL) ([]error, error) {
	end, err := k.begin("acl-delete")
	if err != nil {
		return nil, err
	}
	results := make([]error, len(acls))
	for i, a := range acls {
		if results[i] = k.RefuseACL[a]; k.NoAuthorizer {
			results[i] = noAuthorizer
		}
		if results[i] == nil {
			delete(k.ACLSet, a)
		}
	}
	return results, end()
}

func (k *FakeKafka) DeleteACLsOf(_ context.Context, of []kafka.ACLsOf) ([]error, error) {
	end, err := k.begin("acl-delete")
	if err != nil {
		return nil, err
	}
	results := make([]error, len(of))
	for i, f := range of {
		for a := range k.ACLSet {
			switch {
			case k.NoAuthorizer:
				results[i] = noAuthorizer
			case a.Principal != f.Principal || a.Permission != f.Permission:
			case k.RefuseACL[a] != nil:
				results[i] = k.RefuseACL[a]
			default:
				delete(k.ACLSet, a)
			}
		}
	}
	return results, end()
}
