package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// report prints what was seen and what to try next.
func (d *demo) report(ctx context.Context, inside, outside *tally) error {
	o, err := d.object(ctx, "kafkacluster", cluster)
	if err != nil {
		return err
	}
	billing, err := d.secretName(ctx, insideUser)
	if err != nil {
		return err
	}
	shipping, err := d.secretName(ctx, outsideUser)
	if err != nil {
		return err
	}
	w := d.out
	fmt.Fprintf(w, "\nKafka %s, %s brokers ready, after %.0f s.\n\n",
		o.Status.Version, o.Status.Brokers, time.Since(d.began).Seconds())
	fmt.Fprintf(w, "What came back\n  inside   %s\n  outside  %s\n\n", inside, outside)
	fmt.Fprintf(w, "Addresses (status.listeners of the KafkaCluster)\n")
	for _, l := range o.Status.Listeners {
		fmt.Fprintf(w, "  %-9s %s  %s\n", l.Name, l.SecurityProtocol, strings.ReplaceAll(l.BootstrapServers, ",", ", "))
	}
	fmt.Fprintf(w, "\nCredentials, in the namespace %s\n  %-9s PLAIN          Secret %s\n"+
		"  %-9s SCRAM-SHA-512  Secret %s\n",
		namespace, insideUser, billing, outsideUser, shipping)
	kubectl := "kubectl --context " + d.context
	if d.context == "" {
		kubectl = "kubectl"
		fmt.Fprintf(w, "\nTry next (hack/localcluster.sh kubectl does what kubectl does, where there is none)\n")
		fmt.Fprintf(w, "  export KUBECONFIG=$(make kubeconfig)\n")
	} else {
		fmt.Fprintf(w, "\nTry next\n")
	}
	for _, line := range []string{
		" -n kafka get kafka -o wide",
		" -n kafka get secret " + shipping + " -o jsonpath='{.data.librdkafka\\.external\\.json}' | base64 -d",
		" -n kafka patch kafkatopic orders --type merge -p '{\"spec\":{\"config\":{\"retention.ms\":\"3600000\"}}}'",
		" -n kafka patch kafkacluster events --type merge -p '{\"spec\":{\"config\":{\"num.io.threads\":\"4\"}}}'" +
			"  # without a restart",
		" -n kafka delete pod events-main-1                        # comes back with its id and its records",
		" explain kafkacluster.spec",
	} {
		fmt.Fprintf(w, "  %s%s\n", kubectl, line)
	}
	fmt.Fprintf(w, "\nmake demo-down%s removes all of it.\n", contextArgument(d.context))
	return nil
}

func contextArgument(name string) string {
	if name == "" {
		return ""
	}
	return " CONTEXT=" + name
}
