package dev.castellan.kafka;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.plain.PlainAuthenticateCallback;
import org.apache.kafka.common.security.plain.PlainLoginModule;

/**
 * Lets SASL/PLAIN clients in by files of password hashes, so that users come and go without a restart of the broker.
 *
 * <p>The first file is named by the option {@code users.file} of {@link PlainLoginModule} and looked at on every login. It
 * says which further ones count, which stand beside it. Their format is described once, in the package comment of the
 * Go package plainauth, which writes them. Whatever cannot be read lets nobody in: a faulty line its own user, a faulty
 * file its own users, and a faulty first file everybody.
 *
 * <p>Kafka calls one instance from all network threads of a listener.
 */
public final class FilePlainCallbackHandler implements AuthenticateCallbackHandler {

    static final String USERS_FILE = "users.file";

    private final SecretKeySpec proofKey = new SecretKeySpec(UsersFile.random(UsersFile.HASH_BYTES), "HmacSHA256");
    private volatile List<UsersFile> files = List.of();
    private volatile UsersFile.User stranger = strangerOf(UsersFile.DEFAULT_ITERATIONS);

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        if (!"PLAIN".equals(mechanism)) {
            throw new ConfigException("this callback handler serves PLAIN, not " + mechanism);
        }
        Path first = usersFile(entries);
        List<UsersFile> all = new ArrayList<>();
        for (int n = 0; n < Parts.MAX; n++) {
            all.add(new UsersFile(Parts.path(first, n), n > 0));
        }
        files = List.copyOf(all);
        current(); // a missing file is reported when the broker starts, not only when the first client fails
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        String name = null;
        for (Callback callback : callbacks) {
            if (callback instanceof NameCallback given) {
                name = given.getDefaultName();
            } else if (callback instanceof PlainAuthenticateCallback login) {
                login.authenticated(accepts(name, login.password()));
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    @Override
    public void close() {
        files = List.of();
    }

    private boolean accepts(String name, char[] password) {
        if (name == null || password == null || password.length == 0) {
            return false;
        }
        List<UsersFile.Users> known = current();
        List<UsersFile.User> lines = linesOf(name, known);
        for (UsersFile.User line : lines) {
            if (line.matches(password, proofKey)) {
                return true;
            }
        }
        UsersFile.User nobody = strangerLike(known);
        int depth = known.stream().mapToInt(UsersFile.Users::depth).max().orElse(1);
        for (int n = lines.size(); n < depth; n++) {
            nobody.matches(password, proofKey); // whatever is refused takes as long
        }
        return false;
    }

    /** The lines of a name are those of the first file that has one: a file that is late adds nothing to them. */
    private static List<UsersFile.User> linesOf(String name, List<UsersFile.Users> known) {
        for (UsersFile.Users users : known) {
            List<UsersFile.User> lines = users.byName().get(name);
            if (lines != null) {
                return lines;
            }
        }
        return List.of();
    }

    /** The files that count, as they are now. */
    private List<UsersFile.Users> current() {
        List<UsersFile> known = files;
        List<UsersFile.Users> all = new ArrayList<>(Parts.MAX);
        if (known.isEmpty()) {
            return all;
        }
        UsersFile.Users first = known.get(0).current();
        all.add(first);
        for (int part = 1; part <= first.words().size(); part++) {
            UsersFile.Users further = known.get(part).current();
            if (Parts.counts(first.words(), part, further.words())) {
                all.add(further);
            }
        }
        return all;
    }

    /** Stands for every unknown name and costs as much as the dearest user. */
    private UsersFile.User strangerLike(List<UsersFile.Users> known) {
        int dearest = known.stream().mapToInt(UsersFile.Users::dearest).max().orElse(0);
        int iterations = dearest > 0 ? dearest : UsersFile.DEFAULT_ITERATIONS;
        UsersFile.User nobody = stranger;
        if (nobody.iterations != iterations) {
            nobody = strangerOf(iterations);
            stranger = nobody;
        }
        return nobody;
    }

    private static UsersFile.User strangerOf(int iterations) {
        return new UsersFile.User("", "", iterations, UsersFile.random(UsersFile.MIN_SALT_BYTES),
                UsersFile.random(UsersFile.HASH_BYTES));
    }

    private static Path usersFile(List<AppConfigurationEntry> entries) {
        for (AppConfigurationEntry entry : entries) {
            if (PlainLoginModule.class.getName().equals(entry.getLoginModuleName())
                    && entry.getOptions().get(USERS_FILE) instanceof String path && !path.isEmpty()) {
                return Path.of(path);
            }
        }
        throw new ConfigException("the JAAS entry of PlainLoginModule has no option " + USERS_FILE);
    }
}
