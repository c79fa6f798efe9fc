package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// rules are of the kinds that kube-proxy needs of the kernel for Services with IPv6 addresses.
const rules = `table ip6 probe {
	set ports { type ipv6_addr . inet_proto . inet_service; }
	chain local { type nat hook prerouting priority -100; fib daddr type local accept; }
	chain nat { type nat hook postrouting priority 100; masquerade; }
}
`

// HasIPv6 tells why the kernel cannot give a cluster IPv6; nil = it can. What the machine itself makes of IPv6 does not
// matter: it is tried in a namespace that is gone afterwards.
func HasIPv6() error {
	return proc.InNewNetNS(func(string) error {
		if _, err := os.Stat(SettingsIPv6); errors.Is(err, os.ErrNotExist) {
			return errors.New("there is no " + SettingsIPv6)
		}
		if err := forward(); err != nil {
			return err
		}
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}
