import java.util.Arrays;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/** DynamoDB Local for this machine alone, which it has no option for, on a port that is free. */
public class DynamoLocal {
    public static void main(String[] args) throws Exception {
        DynamoDBProxyServer local = ServerRunner.createServerFromCommandLineArgs(
            new String[] {"-inMemory", "-disableTelemetry"});
        var field = Arrays.stream(DynamoDBProxyServer.class.getDeclaredFields())
            .filter(f -> f.getType() == Server.class).findFirst().orElseThrow();
        field.setAccessible(true);
        ServerConnector connector = (ServerConnector) ((Server) field.get(local)).getConnectors()[0];
        connector.setHost("127.0.0.1");
        connector.setPort(0);
        local.start();
        System.out.println("listening on http://127.0.0.1:" + connector.getLocalPort());
        local.join();
    }
}
