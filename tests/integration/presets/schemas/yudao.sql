-- The pay module of ruoyi-vue-pro, and one table of another module that only its own code moves.
CREATE TABLE pay_order (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  app_id BIGINT NOT NULL,
  channel_id BIGINT NULL,
  channel_code VARCHAR(32) NULL,
  merchant_order_id VARCHAR(64) NOT NULL,
  subject VARCHAR(32) NOT NULL,
  body VARCHAR(128) NOT NULL,
  notify_url VARCHAR(1024) NOT NULL,
  price BIGINT NOT NULL,
  channel_fee_rate DOUBLE NULL DEFAULT 0,
  channel_fee_price BIGINT NULL DEFAULT 0,
  status TINYINT NOT NULL,
  user_ip VARCHAR(50) NOT NULL,
  user_id BIGINT NULL,
  user_type TINYINT NULL,
  expire_time DATETIME NOT NULL,
  success_time DATETIME NULL,
  notify_time DATETIME NULL,
  extension_id BIGINT NULL,
  no VARCHAR(64) NULL,
  refund_price BIGINT NOT NULL DEFAULT 0,
  channel_user_id VARCHAR(255) NULL,
  channel_order_no VARCHAR(64) NULL,
  creator VARCHAR(64) NULL DEFAULT '',
  create_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updater VARCHAR(64) NULL DEFAULT '',
  update_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  deleted BIT(1) NOT NULL DEFAULT b'0'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE pay_order_extension (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  no VARCHAR(64) NOT NULL,
  order_id BIGINT NOT NULL,
  channel_id BIGINT NOT NULL,
  channel_code VARCHAR(32) NOT NULL,
  user_ip VARCHAR(50) NULL,
  status TINYINT NOT NULL,
  channel_extras VARCHAR(1024) NULL,
  channel_error_code VARCHAR(128) NULL,
  channel_error_msg VARCHAR(256) NULL,
  channel_notify_data VARCHAR(1024) NULL,
  creator VARCHAR(64) NULL DEFAULT '',
  create_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updater VARCHAR(64) NULL DEFAULT '',
  update_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  deleted BIT(1) NOT NULL DEFAULT b'0'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE trade_order (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, no VARCHAR(32) NOT NULL, status TINYINT NOT NULL DEFAULT 0,
  pay_status BIT(1) NOT NULL DEFAULT b'0', pay_time DATETIME NULL, pay_price INT NOT NULL, pay_order_id BIGINT NULL,
  pay_channel_code VARCHAR(16) NULL, deleted BIT(1) NOT NULL DEFAULT b'0'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
