import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AclBindingFilter;

/** Asks a broker for its ACLs, with a ticket by a keytab: java Ask.java BOOTSTRAP PRINCIPAL KEYTAB. */
public class Ask {
    public static void main(String[] args) throws Exception {
        Map<String, Object> config = Map.of(
                "bootstrap.servers", args[0],
                "security.protocol", "SASL_PLAINTEXT",
                "sasl.mechanism", "GSSAPI",
                "sasl.kerberos.service.name", "kafka",
                "sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
                        + "keyTab=\"" + args[2] + "\" principal=\"" + args[1] + "\";",
                "default.api.timeout.ms", 20_000,
                "request.timeout.ms", 10_000);
        String outcome = "in";
        try (Admin admin = Admin.create(config)) {
            admin.describeAcls(AclBindingFilter.ANY).values().get(30, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            outcome = e.getCause().getClass().getSimpleName() + ": " + e.getCause().getMessage();
        } catch (Exception e) {
            Throwable cause = e;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            outcome = cause.getClass().getSimpleName() + ": " + cause.getMessage();
        }
        System.out.println("outcome " + outcome.replace('\n', ' '));
        System.exit(0);
    }
}
