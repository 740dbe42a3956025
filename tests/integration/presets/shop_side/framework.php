<?php
/*
 * What both shops stand on, as little of it as their code and ours uses: a connection with nested transactions, and the
 * places where a test can hold a request ("gates"). A gate is a named lock of the database, one for each kind of request
 * (the last part of its path): whoever reaches it waits until the test lets go.
 */

namespace Illuminate\Database {
    class Connection
    {
        private int $level = 0;

        public function __construct(private \PDO $pdo)
        {
        }

        public static function open(): self
        {
            $pdo = new \PDO(getenv('SHOP_DSN'), 'root', '', [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION]);
            $pdo->exec("SET innodb_lock_wait_timeout = 20, time_zone = '+08:00'");
            return new self($pdo);
        }

        public function getPdo(): \PDO
        {
            return $this->pdo;
        }

        public function beginTransaction(): void
        {
            $this->level === 0 ? $this->pdo->beginTransaction() : $this->pdo->exec("SAVEPOINT trans{$this->level}");
            $this->level++;
        }

        public function commit(): void
        {
            if ($this->level === 1) {
                $this->pdo->commit();
            }
            $this->level--;
        }

        public function rollBack(): void
        {
            $this->level--;
            $this->level === 0 ? $this->pdo->rollBack() : $this->pdo->exec("ROLLBACK TO SAVEPOINT trans{$this->level}");
        }

        public function transaction(callable $work)
        {
            $this->beginTransaction();
            try {
                $result = $work();
            } catch (\Throwable $problem) {
                $this->rollBack();
                throw $problem;
            }
            $this->commit();
            return $result;
        }

        public function select(string $sql, array $values = []): array
        {
            $statement = $this->pdo->prepare($sql);
            $statement->execute($values);
            return $statement->fetchAll(\PDO::FETCH_OBJ);
        }

        public function selectOne(string $sql, array $values = [])
        {
            return $this->select($sql, $values)[0] ?? null;
        }

        public function affectingStatement(string $sql, array $values = []): int
        {
            $statement = $this->pdo->prepare($sql);
            $statement->execute($values);
            return $statement->rowCount();
        }
    }
}

namespace {
    /** Wait here while the test holds the gate. */
    function gate(string $name): void
    {
        $full = implode(':', [getenv('SHOP_GATE'), basename(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)), $name]);
        $other = Illuminate\Database\Connection::open();
        if ($other->selectOne('SELECT IS_USED_LOCK(?) AS holder', [$full])->holder !== null) {
            $other->selectOne('SELECT GET_LOCK(?, 60) /* waits at a gate */', [$full]);
            $other->selectOne('SELECT RELEASE_LOCK(?)', [$full]);
        }
    }

    /** Send a mail: what no rollback takes back. */
    function mailed(string $orderNo, string $content): void
    {
        Illuminate\Database\Connection::open()
            ->affectingStatement('INSERT INTO mails (order_no, content) VALUES (?, ?)', [$orderNo, $content]);
    }

    function answered(int $status, string $body): void
    {
        http_response_code($status);
        header('Content-Type: application/json');
        gate('answer');
        echo $body;
    }
}
