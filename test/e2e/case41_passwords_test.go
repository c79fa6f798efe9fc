package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// passwordSecret is a Secret with a password that its owner lets the operator read.
func passwordSecret(namespace, name, password string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name,
		Labels: map[string]string{v1alpha1.LabelUse: v1alpha1.UsePassword}},
		Data: map[string][]byte{"password": []byte(password)}}
}

// knows is the login of a user with another password.
func (l login) knows(password string) login {
	l.password = password
	return l
}

// wantLogin waits until a login works, or is refused.
func wantLogin(t *testing.T, within time.Duration, what string, l login, works bool) {
	t.Helper()
	eventually(t, within, what, func(context.Context) error {
		switch err := tryToLogIn(t, l); {
		case works && err != nil:
			return err
		case !works && err == nil:
			return fmt.Errorf("it still logs in by %s", l.mechanism)
		case !works && !isLoginRefused(err):
			return err
		}
		return nil
	})
}

// A password of the user's own is changed while a client is connected: the new one is in force within seconds, the
// client's connection goes on, and what cannot be used is refused.
func TestCase41_APasswordOfTheUsersOwnIsInForceWithinSeconds(t *testing.T) {
	long(t)
	ns := small(t, true, "")
	own := passwordSecret(ns, "own", `first "one" \ 1`)
	if err := kube.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, topicManifest(sharedTopic, ", partitions: 1, replicationFactor: 1")+"\n---\n"+
		userManifest("app", sharedTopic, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	app := userNamed(ns, "app")
	change(t, app, func(u kafkaUser) {
		u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own"}
	})
	waitReady(t, time.Minute, app)
	before := loginOf(t, ns, "app")
	if before.password != `first "one" \ 1` {
		t.Fatalf("the connection Secret has another password")
	}
	connected := before.client(t)
	defer connected.Close()
	produce := func() error {
		return connected.ProduceSync(t.Context(), &kgo.Record{Topic: sharedTopic, Value: []byte("one")}).FirstErr()
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	own.Data["password"] = []byte("the second")
	began := time.Now()
	if err := kube.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	for _, m := range []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512} {
		wantLogin(t, 20*time.Second, "the new password logs in", before.knows("the second").with(m), true)
		t.Logf("in force by %s after %s", m, time.Since(began).Round(10*time.Millisecond))
		wantLogin(t, 20*time.Second, "the old password is refused", before.with(m), false)
	}
	if err := produce(); err != nil {
		t.Errorf("the client that was connected: %v", err)
	}
	own.Data["password"] = []byte("with a line's end\n")
	if err := kube.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "it is refused in the status", func(ctx context.Context) error {
		if err := refresh(ctx, app); err != nil {
			return err
		}
		for _, c := range app.Status.Conditions {
			if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && c.Reason == "PasswordSecret" {
				return nil
			}
		}
		return fmt.Errorf("%+v", app.Status.Conditions)
	})
	if err := tryToLogIn(t, before.knows("the second").with(v1alpha1.MechanismScram512)); err != nil {
		t.Errorf("the password before is not in force any more: %v", err)
	}
}

// A password of the operator's is rotated: by PLAIN both log in until the overlap is over, by SCRAM the new one alone.
func TestCase41_ARotatedPasswordOverlapsByPlainAndReplacesByScram(t *testing.T) {
	long(t)
	ns := small(t, true, "")
	apply(t, ns, userManifest("app", sharedTopic, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	app := userNamed(ns, "app")
	overlap := int32(pace.Of(30*time.Second) / time.Second)
	change(t, app, func(u kafkaUser) {
		u.Spec.Authentication.PasswordRotation = &v1alpha1.PasswordRotation{OverlapSeconds: &overlap}
	})
	waitReady(t, time.Minute, app)
	before := loginOf(t, ns, "app")
	change(t, app, func(u kafkaUser) {
		u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: "one"}
	})
	eventually(t, 30*time.Second, "the Secret has another password", func(ctx context.Context) error {
		if err := refresh(ctx, app); err != nil {
			return err
		}
		if r := app.Status.Rotation; r == nil || r.Request != "one" || loginOf(t, ns, "app").password == before.password {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	after := loginOf(t, ns, "app")
	wantLogin(t, 20*time.Second, "the new one by PLAIN", after.with(v1alpha1.MechanismPlain), true)
	wantLogin(t, 20*time.Second, "the new one by SCRAM", after.with(v1alpha1.MechanismScram512), true)
	if err := tryToLogIn(t, before.with(v1alpha1.MechanismPlain)); err != nil {
		t.Errorf("the one before does not overlap: %v", err)
	}
	wantLogin(t, 20*time.Second, "the one before by SCRAM is refused", before.with(v1alpha1.MechanismScram512), false)
	wantLogin(t, time.Duration(overlap)*time.Second+30*time.Second, "the one before by PLAIN is refused after the overlap",
		before.with(v1alpha1.MechanismPlain), false)
	if err := tryToLogIn(t, after.with(v1alpha1.MechanismPlain)); err != nil {
		t.Error(err)
	}
}

// A user moves to another object: its password logs in at every moment.
func TestCase41_AUserMovesToAnotherObjectWithoutAnOutage(t *testing.T) {
	long(t)
	ns := small(t, true, "")
	if err := kube.Create(t.Context(), passwordSecret(ns, "own", "the same all the time")); err != nil {
		t.Fatal(err)
	}
	mechanisms := []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512}
	apply(t, ns, userManifest("app", sharedTopic, mechanisms...))
	app := userNamed(ns, "app")
	change(t, app, func(u kafkaUser) {
		u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own"}
		u.Spec.DeletionPolicy = v1alpha1.DeletionRetain
	})
	waitReady(t, time.Minute, app)
	login := loginOf(t, ns, "app")
	letsIn := func(when string) {
		t.Helper()
		for _, m := range mechanisms {
			if err := tryToLogIn(t, login.with(m)); err != nil {
				t.Errorf("%s, by %s: %v", when, m, err)
			}
		}
	}
	letsIn("before")
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if err := kube.Delete(ctx, app.KafkaUser); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(ctx, app.KafkaUser); err != nil {
		t.Fatal(err)
	}
	letsIn("without an object")
	moved := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "moved"}, Spec: *app.Spec.DeepCopy()}
	moved.Spec.Name, moved.Spec.Adoption = "app", v1alpha1.UserAdoptionAlways
	if err := kube.Create(ctx, moved); err != nil {
		t.Fatal(err)
	}
	now := userNamed(ns, "moved")
	for {
		letsIn("while it is taken over")
		if err := refresh(ctx, now); err != nil {
			t.Fatal(err)
		}
		if now.Status.Credentials != nil && len(now.Status.Credentials.ProvenOn) > 0 {
			break
		}
	}
	waitReady(t, time.Minute, now)
	letsIn("afterwards")
}
