-- litemall: only the primary key is indexed; the shop's own updates lock by update_time.
CREATE TABLE litemall_order (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  order_sn VARCHAR(63) NOT NULL,
  order_status SMALLINT(6) NOT NULL,
  aftersale_status SMALLINT(6) NULL DEFAULT 0,
  consignee VARCHAR(63) NOT NULL,
  mobile VARCHAR(63) NOT NULL,
  address VARCHAR(127) NOT NULL,
  message VARCHAR(512) NOT NULL DEFAULT '',
  goods_price DECIMAL(10,2) NOT NULL,
  freight_price DECIMAL(10,2) NOT NULL,
  order_price DECIMAL(10,2) NOT NULL,
  actual_price DECIMAL(10,2) NOT NULL,
  pay_id VARCHAR(63) NULL,
  pay_time DATETIME NULL,
  end_time DATETIME NULL,
  add_time DATETIME NULL,
  update_time DATETIME NULL,
  deleted TINYINT(1) NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
