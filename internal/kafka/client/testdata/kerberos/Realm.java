import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kerby.kerberos.kerb.server.SimpleKdcServer;

/** A Kerberos realm of the test's own, on loopback: java Realm.java DIR PORT. It ends with its standard input. */
public class Realm {
    private static final String SERVICE = "kafka/localhost@EXAMPLE.COM";

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[0]);
        SimpleKdcServer kdc = new SimpleKdcServer();
        kdc.setWorkDir(dir.toFile());
        kdc.setKdcRealm("EXAMPLE.COM");
        kdc.setKdcHost("127.0.0.1");
        kdc.setAllowUdp(false);
        kdc.setKdcTcpPort(Integer.parseInt(args[1]));
        kdc.init();
        kdc.start();
        for (String user : new String[] {"alice", "boss"}) {
            kdc.createPrincipal(user + "@EXAMPLE.COM", user + "-knows");
            kdc.exportPrincipal(user + "@EXAMPLE.COM", dir.resolve(user + ".keytab").toFile());
        }
        kdc.createPrincipal(SERVICE, "first");
        export(kdc, dir);
        Files.writeString(dir.resolve("krb5.conf"), String.join("\n", "[libdefaults]", "default_realm = EXAMPLE.COM",
                "udp_preference_limit = 1", "dns_lookup_kdc = false", "rdns = false", "[realms]", "EXAMPLE.COM = {",
                "  kdc = 127.0.0.1:" + args[1], "}", ""));
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            kdc.getKadmin().changePassword(SERVICE, line); // another key, of another version
            export(kdc, dir);
            System.out.println("ready");
        }
        System.exit(0);
    }

    private static void export(SimpleKdcServer kdc, Path dir) throws Exception {
        File keytab = dir.resolve("kafka.keytab").toFile();
        Files.deleteIfExists(keytab.toPath());
        kdc.exportPrincipal(SERVICE, keytab);
    }
}
