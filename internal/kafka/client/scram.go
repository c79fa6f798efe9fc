package client

import (
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

const saltBytes = 32

// scramMechanism is one of the two that Kafka stores (KIP-554).
type scramMechanism struct {
	name string
	code int8
	hash func() hash.Hash
}

var scramMechanisms = []scramMechanism{
	{"SCRAM-SHA-256", 1, sha256.New},
	{"SCRAM-SHA-512", 2, sha512.New},
}

func scramByName(name string) (scramMechanism, error) {
	for _, m := range scramMechanisms {
		if m.name == name {
			return m, nil
		}
	}
	return scramMechanism{}, &kafka.Refusal{Code: kerr.UnsupportedSaslMechanism.Message, Message: "no SCRAM mechanism " + name}
}

func scramByCode(code int8) (scramMechanism, error) {
	for _, m := range scramMechanisms {
		if m.code == code {
			return m, nil
		}
	}
	return scramMechanism{}, fmt.Errorf("SCRAM mechanism number %d is unknown", code)
}

// ScramCredentials implements kafka.UserAdmin; a user without credentials has no entry.
func (c *Client) ScramCredentials(ctx context.Context, users []string) (map[string][]kafka.ScramCredential, error) {
	if users == nil {
		return c.scramCredentials(ctx, nil)
	}
	found := make(map[string][]kafka.ScramCredential, len(users))
	for chunk := range slices.Chunk(users, itemsPerRequest) { // no users: no request, for Kafka takes an empty list for all
		some, err := c.scramCredentials(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for user, credentials := range some {
			found[user] = credentials
		}
	}
	return found, nil
}

func (c *Client) scramCredentials(ctx context.Context, users []string) (map[string][]kafka.ScramCredential, error) {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, user := range users {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = user
		req.Users = append(req.Users, u)
	}
	resp, err := read[*kmsg.DescribeUserSCRAMCredentialsResponse](ctx, c, req)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("describe SCRAM credentials: %w", err)
	}
	found := make(map[string][]kafka.ScramCredential, len(resp.Results))
	for _, r := range resp.Results {
		if r.ErrorCode == kerr.ResourceNotFound.Code {
			continue
		}
		if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, fmt.Errorf("describe SCRAM credentials of user %q: %w", r.User, err)
		}
		for _, info := range r.CredentialInfos {
			m, err := scramByCode(info.Mechanism)
			if err != nil {
				return nil, fmt.Errorf("describe SCRAM credentials of user %q: %w", r.User, err)
			}
			found[r.User] = append(found[r.User], kafka.ScramCredential{Mechanism: m.name, Iterations: info.Iterations})
		}
		slices.SortFunc(found[r.User], func(a, b kafka.ScramCredential) int { return cmp.Compare(a.Mechanism, b.Mechanism) })
	}
	return found, nil
}

// scramChange is one upsert or one deletion.
type scramChange struct {
	upsert   *kafka.ScramUpsert
	deletion *kafka.ScramDeletion
}

// AlterScramCredentials implements kafka.UserAdmin. Kafka 4.3 takes one change per user in a request (DUPLICATE_RESOURCE
// otherwise, although the protocol has room for one per mechanism), so it costs as many requests as the busiest user has
// changes: upserts first, and nothing more of a user of whom one was refused. Deleting what a user does not have is no
// error. The salted password is computed here; the password itself never leaves the process.
func (c *Client) AlterScramCredentials(ctx context.Context, upserts []kafka.ScramUpsert, deletions []kafka.ScramDeletion) (map[string]error, error) {
	byUser := map[string][]scramChange{}
	for i := range upserts {
		byUser[upserts[i].User] = append(byUser[upserts[i].User], scramChange{upsert: &upserts[i]})
	}
	for i := range deletions {
		byUser[deletions[i].User] = append(byUser[deletions[i].User], scramChange{deletion: &deletions[i]})
	}
	results := make(map[string]error, len(byUser))
	for round := 0; len(byUser) > 0; round++ {
		done, err := c.alterScram(ctx, round, byUser)
		if err != nil && round == 0 {
			return nil, err
		}
		for user, changes := range byUser {
			results[user] = cmp.Or(err, done[user])
			if results[user] != nil || round+1 == len(changes) {
				delete(byUser, user)
			}
		}
	}
	return results, nil
}

// alterScram sends the change of that number of every user.
func (c *Client) alterScram(ctx context.Context, round int, byUser map[string][]scramChange) (map[string]error, error) {
	return eachName(byUser, oneRecord, "alter SCRAM credentials of user", func(users []string, results map[string]error) error {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		for _, user := range users {
			if err := addScram(req, byUser[user][round]); err != nil {
				results[user] = err
			}
		}
		if len(req.Upsertions)+len(req.Deletions) == 0 {
			return nil
		}
		resp, err := write[*kmsg.AlterUserSCRAMCredentialsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, r := range resp.Results {
			results[r.User] = answered(r.ErrorCode, r.ErrorMessage)
			if r.ErrorCode == kerr.ResourceNotFound.Code { // only deletions find nothing
				results[r.User] = nil
			}
		}
		return nil
	})
}

func addScram(req *kmsg.AlterUserSCRAMCredentialsRequest, change scramChange) error {
	if change.upsert != nil {
		item, err := scramUpsertion(*change.upsert)
		if err == nil {
			req.Upsertions = append(req.Upsertions, item)
		}
		return err
	}
	m, err := scramByName(change.deletion.Mechanism)
	if err == nil {
		item := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		item.Name, item.Mechanism = change.deletion.User, m.code
		req.Deletions = append(req.Deletions, item)
	}
	return err
}

func scramUpsertion(u kafka.ScramUpsert) (kmsg.AlterUserSCRAMCredentialsRequestUpsertion, error) {
	item := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	m, err := scramByName(u.Mechanism)
	if err != nil {
		return item, err
	}
	if u.Iterations < 4096 || u.Iterations > 16384 { // Kafka's bounds; more would also be paid for here
		return item, &kafka.Refusal{Code: kerr.UnacceptableCredential.Message, Message: fmt.Sprintf("%d iterations are not in 4096..16384", u.Iterations)}
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	salted, err := pbkdf2.Key(m.hash, u.Password, salt, int(u.Iterations), m.hash().Size())
	if err != nil {
		return item, fmt.Errorf("salt password: %w", err)
	}
	item.Name, item.Mechanism, item.Iterations = u.User, m.code, u.Iterations
	item.Salt, item.SaltedPassword = salt, salted
	return item, nil
}
