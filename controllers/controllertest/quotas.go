package controllertest

import (
	"context"
	"maps"
	"slices"

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
