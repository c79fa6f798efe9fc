package render

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
)

// filesProvider is the provider of Kafka's (KIP-421) by which a broker reads files of custom mechanisms and of tiered
// storage.
const filesProvider = "castellan"

// fileProvider lets a node that offers a custom mechanism, or has Secrets for tiered storage, read the files of these,
// and nothing else. A variable counts in any key, so that nothing of a user may stand beside this that holds one: see
// resolve.
func fileProvider(c *model.Cluster, pool *model.Pool, n *model.Node) []property {
	var folders []string
	if len(customsOf(c, n)) > 0 {
		folders = append(folders, loginsDir)
	}
	if needsPluginFiles(c, pool) {
		folders = append(folders, pluginFilesDir)
	}
	if len(folders) == 0 {
		return nil
	}
	const prefix = "config.providers"
	return []property{
		{prefix, filesProvider},
		{prefix + "." + filesProvider + ".class", "org.apache.kafka.common.config.provider.DirectoryConfigProvider"},
		{prefix + "." + filesProvider + ".param.allowed.paths", strings.Join(folders, ",")},
	}
}

// customsOf are the listeners of a node that offer a custom mechanism.
func customsOf(c *model.Cluster, n *model.Node) []*model.Listener {
	var offering []*model.Listener
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Custom != nil && n.Listener(strings.ToUpper(l.Name)) != nil {
			offering = append(offering, l)
		}
	}
	return offering
}

// jaasOf is the variable that gives a node the line of JAAS of a listener's custom mechanism.
func jaasOf(n *model.Node, l *model.Listener) string {
	entry := model.LoginEntry(l.Name, model.JaasEntry)
	if l.Login.ByNode {
		entry = model.NodeJaasEntry(l.Name, n.ID)
	}
	return fmt.Sprintf("${%s:%s:%s}", filesProvider, loginsDir, entry)
}

// kerberosConfig tells the Java virtual machine of a node where Kerberos is. It has one file for all listeners.
func kerberosConfig(c *model.Cluster, n *model.Node) string {
	for _, l := range customsOf(c, n) {
		if l.Login.Kerberos {
			return fmt.Sprintf(" -Djava.security.krb5.conf=%s/%s", loginsDir, model.LoginEntry(l.Name, model.KerberosEntry))
		}
	}
	return ""
}

// needsLogins mounts the files of custom mechanisms only where one is offered.
func needsLogins(c *model.Cluster, pool *model.Pool) bool {
	return pool.Broker && slices.ContainsFunc(inForce(c, pool), func(l model.Listener) bool { return l.Custom != nil })
}

// IsLogins tells whether a volume of a pod is that of the files of custom mechanisms.
func IsLogins(v corev1.Volume) bool { return v.Name == loginsVolume }

// customRequest is what the user asked for of a custom mechanism; the rules of nodeRequest hold here too. Files has no
// trace of what is in them: a fingerprint stands where many can read it, and a short secret could be guessed from it.
type customRequest struct {
	Mechanism string `json:"mechanism"`
	Class     string `json:"class,omitempty"`
	Prefix    string `json:"prefix"`
	Files     string `json:"files"`
}

func askedOfCustom(l model.Listener) *customRequest {
	if l.Custom == nil {
		return nil
	}
	return &customRequest{Mechanism: l.Custom.Mechanism, Class: l.Custom.CallbackHandlerClass,
		Prefix: *l.Custom.PrincipalPrefix, Files: l.Login.Revision}
}
