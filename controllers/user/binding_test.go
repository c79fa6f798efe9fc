package user

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/users"
)

// bind changes what a user asks for of its Secret, and settles.
func (w *world) bind(user string, change func(*v1alpha1.UserBinding)) {
	w.T.Helper()
	w.changeUser(user, func(u *v1alpha1.KafkaUser) {
		if u.Spec.Binding == nil {
			u.Spec.Binding = &v1alpha1.UserBinding{}
		}
		change(u.Spec.Binding)
	})
	w.Settle(user)
}

func (w *world) rename(user, secret string) {
	w.T.Helper()
	w.bind(user, func(b *v1alpha1.UserBinding) { b.Name = secret })
}

func (w *world) object(name string) *corev1.Secret {
	w.T.Helper()
	secret := &corev1.Secret{}
	if err := w.Client.Get(w.T.Context(), controllertest.ObjectKey(controllertest.ClusterKey.Namespace, name),
		secret); err != nil {
		w.T.Fatal(err)
	}
	return secret
}

// wantBound fails unless the status names a Secret that holds a password, and another one is there and empty.
func (w *world) wantBound(when, name, password, empty string) {
	w.T.Helper()
	if b := w.user("app").Status.Binding; b == nil || b.Name != name {
		w.T.Errorf("%s: the status names %+v, want %s", when, b, name)
	}
	s := w.secret(name)
	if s["password"] != password || s["bootstrap.servers"] == "" {
		w.T.Errorf("%s: Secret %s has the password %q, want %q", when, name, s["password"], password)
	}
	if empty != "" && (len(w.secret(empty)) != 0 || w.object(empty) == nil) {
		w.T.Errorf("%s: Secret %s has %d entries", when, empty, len(w.secret(empty)))
	}
}

func newBound(t *testing.T, mechanisms ...v1alpha1.Mechanism) *world {
	t.Helper()
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, mechanisms...))
	w.Settle("app")
	w.wantUser("app", "Ready")
	return w
}

// What a client needs is in the new Secret before the status names it, and the former one is emptied after that. The
// password is the same one, so that Kafka is not written and nobody is out.
func TestARenamedSecretTakesThePasswordAlong(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512)
	password, record := w.password(), w.user("app").Status.Credentials.DeepCopy()
	w.Reset()
	w.rename("app", "orders")
	w.wantUser("app", "Ready")
	w.wantBound("renamed", "orders", password, "app-kafka")
	if s := w.object("orders"); s.Type != "servicebinding.io/kafka" || string(s.Data["type"]) != "kafka" ||
		string(s.Data["provider"]) != "castellan" { // Service Binding 1.1
		t.Errorf("%s: %s, %s", s.Type, s.Data["type"], s.Data["provider"])
	}
	if w.Kafka.Writes() != 0 || w.Logins != 0 || w.APIWrites() != 3 {
		t.Errorf("it costs %v, %d logins and %v", w.Kafka.Requests, w.Logins, w.Requests)
	}
	if c := w.user("app").Status.Credentials; c.PasswordHash != record.PasswordHash || len(c.ProvenOn) != 2 {
		t.Errorf("on record is %+v", c)
	}
	w.WantSilence("app")
	w.restart()
	w.WantSilence("app")

	w.rename("app", "app-kafka")
	w.wantBound("named as before", "app-kafka", password, "orders")
	w.rename("app", "third")
	w.wantBound("a third name", "third", password, "app-kafka")
	w.WantSilence("app")
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || w.login("app", password) {
		t.Error("it is held, or its password opens something")
	}
}

// Who copies a Secret with kubectl copies whose it is, too.
func TestACopyOfASecretIsNotEmptied(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	password := w.password()
	copied := w.object("app-kafka")
	copied.ResourceVersion, copied.UID, copied.Name = "", "copy", "mine"
	w.Apply(copied)
	w.WantSilence("app")
	w.rename("app", "orders")
	w.wantBound("renamed", "orders", password, "app-kafka")
	if w.secret("mine")["password"] != password {
		t.Error("somebody's copy is emptied")
	}
	w.WantSilence("app")
}

// An operator that ends anywhere in a change of the name leaves behind what the next one brings to an end.
func TestARenameThatIsInterruptedLosesNothing(t *testing.T) {
	for name, fails := range map[string]string{"the new one cannot be written": "create orders",
		"the status cannot be written": "status app", "the former one cannot be emptied": "update app-kafka"} {
		t.Run(name, func(t *testing.T) {
			w := newBound(t, v1alpha1.MechanismScram512)
			password := w.password()
			w.Failing[fails] = errors.New("the API server is away")
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Binding = &v1alpha1.UserBinding{Name: "orders"} })
			_ = w.Once("app")
			bound := w.secret(w.user("app").Status.Binding.Name)
			if bound["password"] != password || w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != password {
				t.Errorf("the Secret that the status names holds %q, want %q", bound["password"], password)
			}
			w.restart()
			delete(w.Failing, fails)
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.wantBound("in the end", "orders", password, "app-kafka")
			w.WantSilence("app")
		})
	}
}

// A password that has leaked does not come back with a Secret that could not be emptied when its name changed.
func TestAFormerSecretIsNeverReadAgain(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	leaked := w.password()
	w.Failing["update app-kafka"] = errors.New("a webhook forbids it")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Binding = &v1alpha1.UserBinding{Name: "orders"} })
	_ = w.Once("app")
	w.wantBound("renamed", "orders", leaked, "")
	w.rotate("1")
	_ = w.Once("app")
	fresh := w.secret("orders")["password"]
	if fresh == leaked || w.login("app", leaked) {
		t.Fatal("it is not rotated")
	}
	delete(w.Failing, "update app-kafka")
	w.rename("app", "app-kafka")
	w.wantBound("named as before", "app-kafka", fresh, "orders")
	if w.login("app", leaked) {
		t.Error("the password that has leaked is in force")
	}
}

func TestARotationThatIsAskedForWithAnotherNameIsCarriedOutOnce(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	password := w.password()
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Binding = &v1alpha1.UserBinding{Name: "orders"} })
	w.rotate("1")
	w.Reset()
	w.Settle("app")
	w.wantUser("app", "Ready")
	if now := w.secret("orders")["password"]; now == password || !w.login("app", now) || w.login("app", password) ||
		w.Kafka.Upserts["app SCRAM-SHA-512"] != 1 {
		t.Errorf("the password is another one: %t, set %d times", now != password, w.Kafka.Upserts["app SCRAM-SHA-512"])
	}
	w.WantSilence("app")
}

func TestARenamedSecretTakesTheCertificateAlong(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, scram512, byTLS))
	w.Settle("app")
	w.reissue("app", "1")
	w.Settle("app")
	before, listed := w.secret("app-kafka"), strings.Join(w.listed("app"), " ")
	w.rename("app", "orders")
	after := w.secret("orders")
	if after["user.crt"] != before["user.crt"] || after["user.key"] != before["user.key"] ||
		strings.Join(w.listed("app"), " ") != listed {
		t.Error("it has another certificate")
	}
	w.wantUser("app", "Ready")
	w.WantSilence("app")
}

// As a KafkaUser that was called like a Secret of the cluster's authority has replaced that, with another operator.
func TestANameThatIsTakenIsRefusedAndTheSecretThatThereIsGoesOn(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	password := w.password()
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace, Name: "taken"},
		Data: map[string][]byte{"password": []byte("mine")}}
	w.Apply(foreign)
	w.rename("app", "taken")
	w.wantUser("app", "Stalled/SecretConflict")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, "spec.binding.name") ||
		!strings.Contains(m, `"taken"`) {
		t.Error(m)
	}
	w.wantBound("refused", "app-kafka", password, "")
	if w.secret("taken")["password"] != "mine" {
		t.Error("somebody else's Secret is written")
	}
	w.writeSecret("app-kafka", func(s *corev1.Secret) { delete(s.Data, "bootstrap.servers") })
	w.Settle("app")
	w.wantBound("damaged", "app-kafka", password, "")
	w.Remove(foreign)
	w.LookAgain(6 * time.Minute)
	w.wantUser("app", "Ready")
	w.wantBound("given up", "taken", password, "app-kafka")
}

func TestTwoUsersCannotHaveOneSecret(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	w.rename("app", "shared")
	other := newUser("other", time.Minute, v1alpha1.MechanismScram512)
	other.Spec.Binding = &v1alpha1.UserBinding{Name: "shared"}
	w.Apply(other)
	w.Settle("other")
	w.wantUser("other", "Stalled/SecretConflict")
	if m := controllertest.Message(w.user("other").Status.Conditions); !strings.Contains(m, `KafkaUser "app"`) {
		t.Error(m)
	}
	if w.secret("shared")["username"] != "app" || len(w.Kafka.Scram["other"]) != 0 {
		t.Error("the one takes the other's")
	}
	w.WantSilence("app", "other")
}

// As copies of Secrets vanished, and came back without their annotations, with another operator.
func TestLabelsAndAnnotationsOfOthersSurviveAndThoseOfTheTemplateFollowIt(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	w.writeSecret("app-kafka", func(s *corev1.Secret) {
		s.Labels["team"] = "shop"
		s.Annotations["reflector.v1.k8s.emberstack.com/reflection-allowed"] = "true"
	})
	w.WantSilence("app")
	w.bind("app", func(b *v1alpha1.UserBinding) {
		b.Metadata = &v1alpha1.BindingMetadata{Labels: v1alpha1.Metadata{"tier": "gold"},
			Annotations: v1alpha1.Metadata{"example.com/Copy": "to: all"}}
	})
	s := w.object("app-kafka")
	if s.Labels["tier"] != "gold" || s.Labels["team"] != "shop" || s.Annotations["example.com/Copy"] != "to: all" ||
		s.Annotations["reflector.v1.k8s.emberstack.com/reflection-allowed"] != "true" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	w.WantSilence("app")
	w.rename("app", "orders")
	if s := w.object("orders"); s.Labels["tier"] != "gold" || s.Labels["team"] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	w.rename("app", "")
	w.bind("app", func(b *v1alpha1.UserBinding) { b.Metadata = nil })
	s = w.object("app-kafka")
	if _, there := s.Annotations[v1alpha1.AnnotationTemplate]; there || s.Labels["tier"] != "" ||
		s.Annotations["example.com/Copy"] != "" || s.Labels["team"] != "shop" || s.Annotations[v1alpha1.AnnotationSalt] == "" ||
		s.Annotations["reflector.v1.k8s.emberstack.com/reflection-allowed"] != "true" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	w.WantSilence("app")
}

func TestATemplateCannotSetWhatIsTheOperatorsOrWhatKubernetesRefuses(t *testing.T) {
	for name, m := range map[string]v1alpha1.BindingMetadata{
		"labels[kafka.castellan.dev/use]":                {Labels: v1alpha1.Metadata{"kafka.castellan.dev/use": "password"}},
		"labels[app.kubernetes.io/managed-by]":           {Labels: v1alpha1.Metadata{"app.kubernetes.io/managed-by": "Helm"}},
		"labels[a b]":                                    {Labels: v1alpha1.Metadata{"a b": "c"}},
		"labels[tier]":                                   {Labels: v1alpha1.Metadata{"tier": "two words"}},
		"annotations[kafka.castellan.dev/password-salt]": {Annotations: v1alpha1.Metadata{v1alpha1.AnnotationSalt: "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBound(t, v1alpha1.MechanismScram512)
			before := w.object("app-kafka")
			if m.Annotations == nil {
				m.Annotations = v1alpha1.Metadata{}
			}
			m.Annotations["good"] = "yes"
			w.bind("app", func(b *v1alpha1.UserBinding) { b.Metadata = &m })
			w.wantUser("app", "Stalled/BindingRefused")
			if said := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(said,
				"spec.binding.metadata."+name) || strings.Contains(said, "two words") {
				t.Error(said)
			}
			s := w.object("app-kafka")
			if s.Annotations["good"] != "yes" || s.Labels["tier"] != "" || s.Labels[v1alpha1.LabelUse] != "" ||
				s.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy ||
				s.Annotations[v1alpha1.AnnotationSalt] != before.Annotations[v1alpha1.AnnotationSalt] {
				t.Errorf("%v %v", s.Labels, s.Annotations)
			}
			w.WantSilence("app")
			w.bind("app", func(b *v1alpha1.UserBinding) { b.Metadata = nil })
			w.wantUser("app", "Ready")
		})
	}
}

func TestOtherFormatsAreWrittenOnceAndThePasswordOfKeyStoresStays(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.Apply(newUser("app", time.Hour, byTLS))
	w.Settle("app")
	if w.secret("app-kafka")[users.StorePasswordKey] != "" {
		t.Error("there is a password of key stores that nobody has asked for")
	}
	w.Reset()
	w.bind("app", func(b *v1alpha1.UserBinding) { b.Formats = []v1alpha1.BindingFormat{"p12", "kafka-python.json"} })
	w.wantUser("app", "Ready")
	s := w.secret("app-kafka")
	if s["user.p12"] == "" || s["client.properties"] != "" || !strings.Contains(s["kafka-python.json"], "/binding/user.key") ||
		w.Requests["update Secret"] != 1 || w.Kafka.Writes() != 0 || w.Logins != 0 {
		t.Errorf("%v, %d logins", w.Requests, w.Logins)
	}
	w.WantSilence("app")
	w.restart()
	w.WantSilence("app")
	w.reissue("app", "1")
	w.rename("app", "orders")
	if after := w.secret("orders"); after[users.StorePasswordKey] != s[users.StorePasswordKey] ||
		after["user.p12"] == s["user.p12"] {
		t.Error("the key store has another password, or the former certificate")
	}
}

// An operator before this one has written fewer files. Each Secret is written once.
func TestAnUpgradeWritesASecretOnce(t *testing.T) {
	w := newBound(t, v1alpha1.MechanismScram512)
	w.writeSecret("app-kafka", func(s *corev1.Secret) {
		delete(s.Data, "librdkafka.json")
		s.Data["librdkafka.external.config"] = []byte("bootstrap.servers=b:1\n")
	})
	w.restart()
	w.Reset()
	w.Settle("app")
	if w.APIWrites() != 1 || w.Requests["update Secret"] != 1 || w.Kafka.Writes() != 0 || w.Logins != 0 {
		t.Errorf("%v, %v, %d logins", w.Requests, w.Kafka.Requests, w.Logins)
	}
	w.WantSilence("app")
}

func TestASecretThatKubernetesWouldRefuseForItsSizeIsToldAndTheOneThatThereIsStays(t *testing.T) {
	secured := inside
	secured.Encryption = v1alpha1.EncryptionTLS
	cluster := controllertest.ReadyCluster(1, secured)
	cluster.Status.Listeners[0].CACertificates = "small\n"
	w := newUsersOf(t, cluster)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	password := w.password()
	if password == "" {
		t.Fatal("it has no Secret")
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Status.Listeners[0].CACertificates = strings.Repeat("large\n", 50_000)
	})
	w.Settle("app")
	w.wantUser("app", "Stalled/BindingRefused")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, "spec.binding.formats") ||
		!strings.Contains(m, "1048576") {
		t.Error(m)
	}
	w.wantBound("too large", "app-kafka", password, "")
	if w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != password {
		t.Error("its password is not in force any more")
	}
}
